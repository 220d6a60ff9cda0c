/**
 * Decides who may call an operation: a key within its rate limits, with the scope of the operation, for a job of its
 * owner. A job of another owner gets the same answer as one that does not exist.
 *
 * `authentication.ts` has identified the caller before; `request-input.ts` checks the fields.
 */
import { type Principal, requireScope } from '@muster/access'
import { MusterError, type Scope } from '@muster/contract'
import { type Ledger, ownerOfJob } from '@muster/ledger'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { noSuchJob } from './call/not-found.ts'
import type { RateLimits } from './call/operation.ts'

const MINUTE_S = 60

/** The check before every operation. */
export type Admission = {
  /**
   * Counts a call of an operation with this scope, and passes if the key may make it.
   * @throws {MusterError} rate_limited, insufficient_scope
   */
  letIn(scope: Scope, caller: Principal): Promise<void>
  /**
   * Passes if the input names no job, or a job that the caller may know of.
   * @throws {MusterError} not_found
   */
  letAtJob(input: object, caller: Principal): Promise<void>
}

/** The scopes of operations that put work on hosts; these count as job calls too. */
const WORKING: ReadonlySet<Scope> = new Set<Scope>(['jobs:run', 'hosts:inspect'])

/** Makes the admission of one server. It counts in memory, for a minute, and only calls of valid keys. */
export function createAdmission(
  ledger: Ledger,
  { callsPerMin, jobsPerMin }: RateLimits = { callsPerMin: 0, jobsPerMin: 0 },
): Admission {
  const countCall = counterOf(callsPerMin, 'calls')
  const countJob = counterOf(jobsPerMin, 'calls that make jobs or change them')
  return {
    letIn: async (scope, caller) => {
      await countCall(caller.keyId)
      requireScope(caller, scope)
      if (WORKING.has(scope)) await countJob(caller.keyId)
    },
    letAtJob: async (input, caller) => {
      if (!('job_id' in input) || typeof input.job_id !== 'string' || caller.scopes.has('jobs:all')) return
      if ((await ownerOfJob(ledger, input.job_id)) !== caller.owner) throw noSuchJob(input.job_id)
    },
  }
}

/** Counts the calls of each key. Refuses more than `most` in a minute, which begins with the key's first call. */
function counterOf(most: number, what: string): (keyId: string) => Promise<void> {
  if (most === 0) return async () => {}
  const limiter = new RateLimiterMemory({ points: most, duration: MINUTE_S })
  return async (keyId) => {
    const refused = await limiter.consume(keyId).then(
      () => undefined,
      // It rejects with its count, which is not an Error.
      (counted: unknown) => counted,
    )
    if (refused === undefined) return
    if (!(refused instanceof RateLimiterRes)) throw refused
    // It computes this wait by the server's date, which may have been set back since. Its own timer is not affected.
    const waitS = Math.min(MINUTE_S, Math.max(1, Math.ceil(refused.msBeforeNext / 1_000)))
    const message = `the API key ${keyId} has made its ${most} ${what} of this minute; the next one in ${waitS} s`
    throw new MusterError('rate_limited', message, { details: { retry_after_s: waitS } })
  }
}
