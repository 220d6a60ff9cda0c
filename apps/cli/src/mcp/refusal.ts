/**
 * The answers that the bridge gives by itself, when no server gave one. A tool call is answered with a tool result, as
 * that is what models get to see; every other request with a JSON-RPC error.
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
import type { Outcome, ServerAddress } from './forward-message.ts'

/** The answer to a request that did not get through: what failed, and what to do. */
export function refusalOf(request: JSONRPCRequest, text: string): JSONRPCErrorResponse | JSONRPCResultResponse {
  const { id, method, params } = request
  if (method !== 'tools/call') return { jsonrpc: '2.0', id, error: { code: INTERNAL_ERROR, message: text } }
  const isModern = params?._meta?.[PROTOCOL_VERSION_META_KEY] !== undefined
  const content = [{ type: 'text', text }]
  return { jsonrpc: '2.0', id, result: { ...(isModern ? { resultType: 'complete' } : {}), content, isError: true } }
}

/** What a server can send with an HTTP error that is an answer after all. */
const RpcError = z.object({
  jsonrpc: z.literal('2.0'),
  error: z.object({ code: z.number().int(), message: z.string(), data: z.unknown().optional() }),
})

/** The answer to a request that did not end well. */
export function answerOf(
  request: JSONRPCRequest,
  outcome: Exclude<Outcome, { kind: 'answered' | 'cancelled' }>,
  { url }: ServerAddress,
): JSONRPCErrorResponse | JSONRPCResultResponse {
  if (outcome.kind !== 'refused') return refusalOf(request, troubleText(outcome, url))
  const body = parseJson(outcome.body)
  const rpc = RpcError.safeParse(body)
  if (rpc.success) return { jsonrpc: '2.0', id: request.id, error: rpc.data.error }
  const problem = Problem.safeParse(body)
  if (!problem.success) {
    return refusalOf(request, `${url} answered ${outcome.status}, and not as a Muster server does. Correct MUSTER_URL.`)
  }
  const { detail, code, next } = problem.data
  const advice = code === 'unauthorized' ? 'Set MUSTER_API_KEY to a key of this server, and start again.' : next
  return refusalOf(request, `The server at ${url} refused the call: ${detail} (${code}). ${advice}`)
}

/** What is told when no server could be found. */
export function searchFailureText(error: unknown): string {
  return error instanceof MusterError ? error.message : `No server could be found: ${String(error)}`
}

function troubleText({ kind, detail }: { kind: 'unreached' | 'cut'; detail: string }, url: string): string {
  if (kind === 'unreached') {
    return `No Muster server answers at ${url} (${detail}). The call was not sent. Start the server with "muster up", or correct MUSTER_URL; then call again.`
  }
  return `The answer of ${url} was lost (${detail}), and the call may have been carried out. Look with list_jobs before you repeat a call that starts or changes something; with the same idempotency_key it is one job.`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON: then it is no answer of ours.
    return undefined
  }
}
