/**
 * Errors of the MCP endpoint as JSON-RPC, with the text and the HTTP status that any other route would answer with.
 *
 * Callers refused earlier (by Host, Origin or key) get a problem document, as on every route: MCP has no part in that.
 */
import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server'
import { escapeControl, escapeLine, type MessageId, type Problem, toProblem } from '@muster/contract'
import type { Logger } from '@muster/runtime'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { asMusterError } from '../http/problems.ts'
import { RefusedBody } from './message-body.ts'

/** A JSON-RPC error. Its ID is null when it answers no particular request. */
export type RpcRefusal = {
  readonly jsonrpc: '2.0'
  readonly id: MessageId
  readonly error: { readonly code: number; readonly message: string }
}

/** Refuses a message, or the whole body. */
export function rpcRefusal(code: number, message: string, id: MessageId = null): RpcRefusal {
  return { jsonrpc: '2.0', id, error: { code, message: escapeControl(message) } }
}

/** Answers with what went wrong before any message could be read. Our own faults are logged, not shown. */
export function sendRpcError(
  reply: FastifyReply,
  request: FastifyRequest,
  error: FastifyError,
  logger: Logger,
): FastifyReply {
  const problem = toProblem(asMusterError(error, request))
  if (problem.status >= 500) logger.error({ err: error, request_id: request.id }, 'an MCP request failed')
  // Part of a long body may still be on its way.
  if (problem.status === 413) reply.header('connection', 'close')
  if (error instanceof RefusedBody) {
    return reply.code(problem.status).send(rpcRefusal(ProtocolErrorCode.InvalidRequest, rpcText(problem), error.id))
  }
  const isParse = problem.code === 'invalid_request' && request.body === undefined
  const code = isParse ? ProtocolErrorCode.ParseError : rpcCodeOf(problem)
  return reply.code(problem.status).send(rpcRefusal(code, rpcText(problem)))
}

/** Turns what an operation threw into a JSON-RPC error, for methods without a tool result. Logs our own faults. */
export function toProtocolError(
  error: unknown,
  { logger, requestId }: { logger: Logger; requestId: string },
): ProtocolError {
  const problem = toProblem(error)
  if (problem.status >= 500) logger.error({ err: error, request_id: requestId }, 'an MCP request failed')
  return new ProtocolError(rpcCodeOf(problem), `${rpcText(problem)}\nRequest: ${requestId}`)
}

function rpcCodeOf({ status, code }: Problem): number {
  if (status >= 500) return ProtocolErrorCode.InternalError
  return code === 'invalid_request' || code === 'not_found'
    ? ProtocolErrorCode.InvalidParams
    : ProtocolErrorCode.InvalidRequest
}

function rpcText({ code, detail, next }: Problem): string {
  return `${code}: ${escapeLine(detail)}\nWhat to do: ${next}`
}
