/** When to stop waiting for somebody: because they have gone, or because the server is closing. */
import type { ServerResponse } from 'node:http'

/** Aborts when the connection closes before the answer was sent, and when `closing` does. */
export function waitSignal(response: ServerResponse, closing: AbortSignal): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  return AbortSignal.any([gone.signal, closing])
}
