/**
 * Who is let in to an operation: a key that has not called too often, has the scope of the operation, and comes for a job
 * of its owner. A job of another owner is answered as one that does not exist.
 *
 * Who the caller is, `authentication.ts` has found out; what the fields must be like, `request-input.ts` knows.
 */
import { type Principal, requireScope } from '@muster/access'
import { MusterError, OPERATIONS, type OperationName, type Scope } from '@muster/contract'
import { type Ledger, ownerOfJob } from '@muster/ledger'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { noSuchJob } from './call/not-found.ts'
import type { RateLimits } from './call/operation.ts'

const MINUTE_S = 60

/** What stands before every operation. */
export type Admission = {
  /**
   * Counts the call, and lets it pass if its key may make it.
   * @throws {MusterError} rate_limited, insufficient_scope
   */
  letIn(name: OperationName, caller: Principal): Promise<void>
  /**
   * Passes when the input names no job, or one that the caller may know of.
   * @throws {MusterError} not_found
   */
  letAtJob(input: object, caller: Principal): Promise<void>
}

/** The scopes of operations that put work on hosts. */
const WORKING: ReadonlySet<Scope> = new Set<Scope>(['jobs:run', 'hosts:inspect'])

/** The admission of one server. Limits are counted in its memory, for a minute, and only for keys that are known. */
export function createAdmission(
  ledger: Ledger,
  { callsPerMin, jobsPerMin }: RateLimits = { callsPerMin: 0, jobsPerMin: 0 },
): Admission {
  const countCall = counterOf(callsPerMin, 'calls')
  const countJob = counterOf(jobsPerMin, 'calls that make jobs or change them')
  return {
    letIn: async (name, caller) => {
      const { scope } = OPERATIONS[name]
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

/** Counts for each key, and refuses what is more than `most` in a minute that begins with its first call. */
function counterOf(most: number, what: string): (keyId: string) => Promise<void> {
  if (most === 0) return async () => {}
  const limiter = new RateLimiterMemory({ points: most, duration: MINUTE_S })
  return async (keyId) => {
    const refused = await limiter.consume(keyId).then(
      () => undefined,
      // It rejects with what it counted, which is no error.
      (counted: unknown) => counted,
    )
    if (refused === undefined) return
    if (!(refused instanceof RateLimiterRes)) throw refused
    // It reckons by this server's date, which may have been set back since; it forgets in time all the same.
    const waitS = Math.min(MINUTE_S, Math.max(1, Math.ceil(refused.msBeforeNext / 1_000)))
    const message = `the API key ${keyId} has made its ${most} ${what} of this minute; the next one in ${waitS} s`
    throw new MusterError('rate_limited', message, { details: { retry_after_s: waitS } })
  }
}
