/**
 * Decides who may call an operation: a key within its rate limits, with the scope of the operation, for a job of its
 * owner. A job of another owner gets the same answer as one that does not exist.
 *
 * `authentication.ts` has identified the caller before; `request-input.ts` checks the fields.
 */
import { type Principal, requireScope } from '@muster/access'
import { MusterError, type Scope } from '@muster/contract'
import { type CallRefusal, countCall, type Ledger, ownerOfJob } from '@muster/ledger'
import { noSuchJob } from './call/not-found.ts'
import type { RateLimits } from './call/operation.ts'

/** Most refusals that a server remembers. They are forgotten together, as nothing is lost with them. */
const REMEMBER_LIMIT = 1_000

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

/** Makes the admission of one server. All servers of a ledger count together, and only calls of valid keys. */
export function createAdmission(ledger: Ledger, { callsPerMin, jobsPerMin }: RateLimits): Admission {
  const refusals = createRefusals()
  const refuse = ({ keyId, countsWith }: Principal, refusal: CallRefusal) => {
    if (refusal === undefined) return
    const isOfCalls = refusal.limit === 'calls'
    const what = isOfCalls ? 'calls' : 'calls that make jobs or change them'
    const waitS = Math.max(1, Math.ceil(refusal.leftMs / 1_000))
    const who = keyId === countsWith ? keyId : `${countsWith}, from which ${keyId} comes, with the keys below it`
    const made = `the API key ${who} has made its ${isOfCalls ? callsPerMin : jobsPerMin} ${what} of this minute`
    throw new MusterError('rate_limited', `${made}; the next one in ${waitS} s`, {
      details: { retry_after_s: waitS },
    })
  }
  return {
    letIn: async (scope, caller) => {
      const { countsWith } = caller
      refuse(caller, refusals.find(countsWith, 'calls'))
      // A call that lacks its scope makes no job.
      const isWorking = WORKING.has(scope) && caller.scopes.has(scope)
      const known = isWorking ? refusals.find(countsWith, 'job_calls') : undefined
      const jobCallsLimit = isWorking && known === undefined ? jobsPerMin : 0
      if (callsPerMin > 0 || jobCallsLimit > 0) {
        const refusal = await countCall(ledger, countsWith, { callsLimit: callsPerMin, jobCallsLimit })
        if (refusal !== undefined) refusals.add(countsWith, refusal)
        refuse(caller, refusal)
      }
      requireScope(caller, scope)
      refuse(caller, known)
    },
    letAtJob: async (input, caller) => {
      if (!('job_id' in input) || typeof input.job_id !== 'string' || caller.scopes.has('jobs:all')) return
      if ((await ownerOfJob(ledger, input.job_id)) !== caller.owner) throw noSuchJob(input.job_id)
    },
  }
}

/**
 * Remembers which keys have reached a limit, and until when, by a clock that nobody sets: whoever calls on all the same
 * costs Redis nothing.
 */
function createRefusals() {
  const untilMs = new Map<string, number>()
  return {
    find: (keyId: string, limit: 'calls' | 'job_calls'): CallRefusal => {
      const leftMs = (untilMs.get(`${limit} ${keyId}`) ?? 0) - performance.now()
      return leftMs > 0 ? { limit, leftMs } : undefined
    },
    add: (keyId: string, { limit, leftMs }: NonNullable<CallRefusal>) => {
      if (untilMs.size >= REMEMBER_LIMIT) untilMs.clear()
      untilMs.set(`${limit} ${keyId}`, performance.now() + leftMs)
    },
  }
}
