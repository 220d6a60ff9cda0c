/**
 * The answers that the bridge gives itself when no server gave one. A tool call gets a tool result, because that is
 * what models see; every other request gets a JSON-RPC error.
 */
import {
  INTERNAL_ERROR,
  type JSONRPCErrorResponse,
  type JSONRPCRequest,
  type JSONRPCResultResponse,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/client'
import { MusterError, Problem } from '@muster/contract'
import { z } from 'zod'
import type { ServerAddress } from '../client/server-url.ts'
import type { Forwarded } from './forward-message.ts'

/** The answer to a request that did not get through. `text` says what failed and what to do. */
export function refusalOf(request: JSONRPCRequest, text: string): JSONRPCErrorResponse | JSONRPCResultResponse {
  const { id, method, params } = request
  if (method !== 'tools/call') return { jsonrpc: '2.0', id, error: { code: INTERNAL_ERROR, message: text } }
  const isModern = params?._meta?.[PROTOCOL_VERSION_META_KEY] !== undefined
  const content = [{ type: 'text', text }]
  return { jsonrpc: '2.0', id, result: { ...(isModern ? { resultType: 'complete' } : {}), content, isError: true } }
}

/** The body of an HTTP error that is a JSON-RPC answer after all. */
const RpcError = z.object({
  jsonrpc: z.literal('2.0'),
  error: z.object({ code: z.number().int(), message: z.string(), data: z.unknown().optional() }),
})

/** The answer to a request that was not answered by a server. */
export function answerOf(
  request: JSONRPCRequest,
  forwarded: Exclude<Forwarded, { kind: 'answered' | 'cancelled' }>,
  { url }: ServerAddress,
): JSONRPCErrorResponse | JSONRPCResultResponse {
  if (forwarded.kind !== 'refused') return refusalOf(request, troubleText(forwarded, url))
  const body = parseJson(forwarded.body)
  const rpc = RpcError.safeParse(body)
  if (rpc.success) return { jsonrpc: '2.0', id: request.id, error: rpc.data.error }
  const problem = Problem.safeParse(body)
  if (!problem.success) {
    const text = `${url} answered ${forwarded.status}, but not as a Muster server would. Correct MUSTER_URL.`
    return refusalOf(request, text)
  }
  const { detail, code, next } = problem.data
  const advice = code === 'unauthorized' ? 'Set MUSTER_API_KEY to a key of this server, and start again.' : next
  return refusalOf(request, `The server at ${url} refused the call: ${detail} (${code}). ${advice}`)
}

/** The text for a client when no server could be found. */
export function searchFailureText(error: unknown): string {
  return error instanceof MusterError ? error.message : `No server could be found: ${String(error)}`
}

function troubleText({ kind, detail }: { kind: 'unreached' | 'cut'; detail: string }, url: string): string {
  if (kind === 'unreached') {
    const advice = 'Start the server with "muster up", or correct MUSTER_URL; then call again.'
    return `No Muster server answers at ${url} (${detail}). The call was not sent. ${advice}`
  }
  const advice = 'Look with list_jobs before you repeat a call that starts or changes something'
  const lost = `The answer of ${url} was lost (${detail}), and the call may have been carried out.`
  return `${lost} ${advice}; with the same idempotency_key it is one job.`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON, so not the answer of a Muster server.
    return undefined
  }
}
