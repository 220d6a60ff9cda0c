/**
 * Counts calls of API keys in Redis, so that all servers of a ledger count together. Only lengths of time are compared,
 * by Redis' clock, so it does not matter what time servers think it is.
 */
import { z } from 'zod'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'

/** A minute, which begins with the first call that is counted. */
const WINDOW_MS = 60_000

const Answer = z.union([
  z.tuple([]).transform(() => undefined),
  z
    .tuple([z.enum(['calls', 'job_calls']), z.coerce.number()])
    .transform(([limit, leftMs]) => ({ limit, leftMs: Math.min(leftMs, WINDOW_MS) })),
])

/** Which limit a key has reached, and for how many milliseconds it has; undefined if it may call. */
export type CallRefusal = { readonly limit: 'calls' | 'job_calls'; readonly leftMs: number } | undefined

/**
 * Counts a call against the limits, in one round trip; 0 is for what is not to be counted. A call beyond a limit is not
 * counted. It works in a Redis that is full, too.
 * @throws {MusterError} ledger_unavailable
 */
export async function countCall(
  ledger: Ledger,
  keyId: string,
  { callsLimit, jobCallsLimit }: { callsLimit: number; jobCallsLimit: number },
): Promise<CallRefusal> {
  const counters = { calls: ledger.keys.calls(keyId, 'calls'), jobCalls: ledger.keys.calls(keyId, 'job-calls') }
  const given = { ...counters, callsLimit, jobCallsLimit, windowMs: WINDOW_MS }
  return Answer.parse(await ask(ledger.redis, () => runScript(ledger, 'count-call', given)))
}
