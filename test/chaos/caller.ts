/**
 * A client of several servers, as a careful program would be one: a request that was refused for the moment, or got no
 * answer, is sent again to the next server, with the same idempotency key.
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** Sends requests until one is answered. */
export type Caller = {
  /**
   * The body of the answer, or undefined for 404.
   * @throws when `signal` aborts first, or for a refusal that will not pass
   */
  ask(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown>
}

/** Longer than the longest wait that is asked for. */
const ANSWER_MS = 30_000
const AGAIN_MS = 200

/** A caller of the servers at these addresses. */
export function callerOf(urls: readonly string[], apiKey: string, signal: AbortSignal): Caller {
  let turn = 0
  const attempt = async (method: 'GET' | 'POST', path: string, body: unknown): Promise<Response | undefined> => {
    const url = urls[turn++ % urls.length]
    const headers = {
      authorization: `Bearer ${apiKey}`,
      ...(method === 'GET' ? {} : { 'content-type': 'application/json' }),
    }
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)])
    try {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: limit,
      })
      // The body is part of the answer: it may be cut short as well.
      return new Response(await answer.text(), { status: answer.status })
    } catch {
      return undefined
    }
  }
  return {
    ask: async (method, path, body) => {
      for (;;) {
        signal.throwIfAborted()
        const answer = await attempt(method, path, body)
        if (answer?.ok) return await answer.json()
        if (answer?.status === 404) return undefined
        if (answer !== undefined && answer.status < 500) {
          throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
        }
        await sleep(AGAIN_MS, undefined, { signal })
      }
    },
  }
}
