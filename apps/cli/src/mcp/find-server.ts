/**
 * Finds the server that `muster mcp` talks to: the configured one, else the one that runs on this data directory, else
 * the embedded stack, which it then starts. It looks again whenever the last server no longer answers.
 */

import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { MusterError } from '@muster/contract'
import { readServerFile } from '@muster/runtime'
import { z } from 'zod'
import { readLocalKey } from '../client/find-server.ts'
import type { ServerAddress } from '../client/server-url.ts'
import { untrusted } from '../client/tls-authority.ts'
import type { StackProcess } from '../stack/stack-process.ts'

/** Finds the server for a request. */
export type ServerFinder = {
  /**
   * Returns where to send the request. `away` is an address where nobody answers any more.
   * @throws {MusterError} when there is no server, with what to do about it
   */
  find(signal: AbortSignal, away?: ServerAddress): Promise<ServerAddress>
}

/** How long a request waits for a server to come up: clients give up on their first request after 30 to 60 s. */
const PATIENCE_MS = 25_000
/** How long to try a data directory that another Muster is about to use, or to let go of. */
const SEARCH_MS = 60_000
const LOOK_EVERY_MS = 100
const LOOK_TIMEOUT_MS = 2_000
/** How long to look for a Muster that is starting elsewhere before trying the directory again. */
const ELSEWHERE_MS = 2_000

/** Always returns the configured server. */
export function fixedServer(server: ServerAddress): ServerFinder {
  return { find: async () => server }
}

/** Rejects every request with the reason why there can be no server. */
export function noServer(reason: Error): ServerFinder {
  return { find: () => Promise.reject(reason) }
}

/** The server of a data directory, started if there is none. `apiKey`: the configured one, if any. */
export function localServer(options: {
  readonly dataDir: string
  readonly apiKey: string | undefined
  /** What to say besides when none can be started. */
  readonly advice: string | undefined
  readonly stack: StackProcess
}): ServerFinder {
  const { dataDir, stack, advice } = options
  let url: string | undefined
  let search: Promise<string> | undefined
  const searchOnce = () => {
    search ??= findOrStart(dataDir, stack, advice)
      .then((found) => {
        url = found
        return found
      })
      .finally(() => {
        search = undefined
      })
    return search
  }
  return {
    find: async (signal, away) => {
      if (away !== undefined && away.url === url) url = undefined
      const found = url ?? (await withPatience(searchOnce(), signal))
      return { url: found, apiKey: options.apiKey ?? (await keyIn(dataDir)) }
    },
  }
}

async function findOrStart(dataDir: string, stack: StackProcess, advice: string | undefined): Promise<string> {
  const untilMs = performance.now() + SEARCH_MS
  for (;;) {
    const there = await runningServer(dataDir)
    if (there !== undefined) return there
    const seen = new AbortController()
    // Another process may be starting one on the same directory: take the first that answers.
    const first = await Promise.race([stack.start(), untilRunning(dataDir, seen.signal)]).finally(() => seen.abort())
    if (typeof first === 'string') return first
    if (first.kind === 'up') return first.url
    if (!first.isInUse || performance.now() > untilMs)
      throw new MusterError('invalid_config', [first.text, advice].filter(Boolean).join('\n'))
    const elsewhere = await untilRunning(dataDir, AbortSignal.timeout(ELSEWHERE_MS)).catch(() => undefined)
    if (elsewhere !== undefined) return elsewhere
  }
}

async function untilRunning(dataDir: string, signal: AbortSignal): Promise<string> {
  for (;;) {
    const url = await runningServer(dataDir)
    if (url !== undefined) return url
    await delay(LOOK_EVERY_MS, undefined, { signal })
  }
}

/** The address in `server.json`, if a Muster answers there: a server that was killed leaves the file behind. */
async function runningServer(dataDir: string): Promise<string | undefined> {
  try {
    const { url } = await readServerFile(dataDir)
    const answer = await fetch(`${url}/livez`, {
      // If this connection were kept, a request might go over it, and nobody could tell whether it was received.
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(LOOK_TIMEOUT_MS),
      redirect: 'error',
    })
    return z.object({ status: z.literal('ok') }).safeParse(await answer.json()).success ? url : undefined
  } catch (error) {
    // Somebody else could have written it.
    const fault = error instanceof MusterError ? error : untrusted('the local server', error)
    if (fault !== undefined) throw fault
    // There is no file, or nobody answers: no server runs.
    return undefined
  }
}

async function keyIn(dataDir: string): Promise<string> {
  const key = await readLocalKey(dataDir)
  if (key !== undefined) return key
  const advice = 'Set MUSTER_API_KEY to a key of the server.'
  throw new MusterError('invalid_config', `There is no API key in ${join(dataDir, 'api-key')}. ${advice}`)
}

async function withPatience<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const waiting = new AbortController()
  const over = delay(PATIENCE_MS, undefined, { signal: AbortSignal.any([signal, waiting.signal]) }).then(() => {
    const state = `Muster has been starting for ${PATIENCE_MS / 1_000} s and is not ready yet.`
    throw new MusterError('ledger_unavailable', `${state} Call again in a few seconds.`)
  })
  return await Promise.race([promise, over]).finally(() => waiting.abort())
}
