/**
 * Forwards one JSON-RPC request to one server over streamable HTTP. Each request gets its own transport of the SDK, so
 * that nothing leaks from one call into another. The transport derives the headers of either protocol generation from
 * the request.
 *
 * It sends once, whatever happens. It knows no tools, and not where servers are.
 */
import {
  isJSONRPCErrorResponse,
  isJSONRPCResultResponse,
  type JSONRPCMessage,
  type JSONRPCRequest,
  SdkHttpError,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client'
import type { ToolProfile } from '@muster/contract'
import type { ServerAddress } from '../client/server-url.ts'
import { untrusted } from '../client/tls-authority.ts'

/**
 * What became of a request. `answered`: every message was passed on, the answer last. `cancelled`: the signal aborted.
 * `unreached`: nobody received it, so nothing has happened. `cut`: it was sent, and the answer is lost. `refused`: the
 * server answered with an HTTP error.
 */
export type Forwarded =
  | { readonly kind: 'answered' }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'unreached' | 'cut'; readonly detail: string }
  | { readonly kind: 'refused'; readonly status: number; readonly body: string }

/** A server waits up to 45 s, and clients give up after 60 s. */
const ANSWER_TIMEOUT_MS = 55_000

/** Errors of a connection that was never made: the request cannot have arrived. */
const NEVER_CONNECTED: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

/**
 * Sends the request and passes on what comes back, in order; nothing after the answer or an abort.
 * @throws {MusterError} `invalid_config` when the server's certificate is not trusted; nothing was sent then
 */
export async function forwardMessage(
  request: JSONRPCRequest,
  options: {
    readonly server: ServerAddress
    readonly profile: ToolProfile
    /** The revision that an older client has negotiated; newer clients name it in each message. */
    readonly protocolVersion: string | undefined
    readonly signal: AbortSignal
    readonly onMessage: (message: JSONRPCMessage) => void
  },
): Promise<Forwarded> {
  const { server, profile, protocolVersion, signal, onMessage } = options
  if (signal.aborted) return { kind: 'cancelled' }
  let isStream = false
  const transport = new StreamableHTTPClientTransport(new URL(`${server.url}${pathOf(profile)}`), {
    // A connection of its own: on one kept open, nobody could tell whether a server that went away got the request.
    requestInit: { headers: { authorization: `Bearer ${server.apiKey}`, connection: 'close' } },
    ...(protocolVersion === undefined ? {} : { protocolVersion }),
    fetch: async (url, init) => {
      const response = await fetchWithin(ANSWER_TIMEOUT_MS, url, init)
      isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
      return response
    },
  })
  await transport.start()
  try {
    return await new Promise<Forwarded>((resolve, reject) => {
      let hasAnswer = false
      signal.addEventListener('abort', () => resolve({ kind: 'cancelled' }), { once: true })
      transport.onmessage = (received) => {
        if (hasAnswer || signal.aborted) return
        onMessage(received)
        hasAnswer = isJSONRPCResultResponse(received) || isJSONRPCErrorResponse(received)
        if (hasAnswer) resolve({ kind: 'answered' })
      }
      const cut = () => resolve({ kind: 'cut', detail: 'the stream ended without it' })
      transport.send(request, { requestSignal: signal, onRequestStreamEnd: cut }).then(() => {
        if (!isStream) cut()
      }, reject)
    })
  } catch (error) {
    const notTrusted = untrusted(server.url, error)
    if (notTrusted !== undefined) throw notTrusted
    return failureOf(error, signal)
  } finally {
    await transport.close()
  }
}

/** Like `fetch`, but the answer has to begin in time. It may then take as long as it likes. */
async function fetchWithin(timeoutMs: number, url: string | URL, init: RequestInit = {}): Promise<Response> {
  const late = new AbortController()
  const reason = new Error(`no answer within ${timeoutMs / 1_000} s`)
  const timer = setTimeout(() => late.abort(reason), timeoutMs)
  const signals = [late.signal, ...(init.signal === undefined || init.signal === null ? [] : [init.signal])]
  try {
    // A key goes nowhere but to the address that it is for.
    return await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.any(signals) })
  } finally {
    clearTimeout(timer)
  }
}

function failureOf(error: unknown, signal: AbortSignal): Forwarded {
  if (signal.aborted) return { kind: 'cancelled' }
  if (error instanceof SdkHttpError) {
    return { kind: 'refused', status: error.status, body: String(error.data.text ?? '') }
  }
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const detail = cause instanceof Error && cause.message !== '' ? cause.message : String(code ?? cause)
  return { kind: NEVER_CONNECTED.has(code) ? 'unreached' : 'cut', detail }
}

function pathOf(profile: ToolProfile): string {
  return profile === 'default' ? '/mcp' : `/mcp?tools=${profile}`
}
