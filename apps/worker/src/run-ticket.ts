/**
 * One ticket, from claim to end: claim → reach the host → dispatch mark → run → finish. Read top to bottom, this is what
 * Muster does on a host.
 *
 * Every claimed run gets exactly one end, whatever goes wrong on the way: an unexpected fault before the dispatch mark
 * means "not started", after it "lost", never anything better. How a command runs is in run-attached.ts and
 * run-durable.ts; whether there is another attempt, the ledger decides.
 */
import { MusterError } from '@muster/contract'
import { type Claim, claimRun, finishRun, type Ledger, type RunEnd, type Ticket, type TriedWith } from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import type { Pool } from '@muster/ssh'
import type { HeldRun, HeldRuns } from './hold/held-runs.ts'
import { patiently } from './hold/patience.ts'
import { mayHaveRun, neverStarted } from './hold/run-end.ts'
import type { JobSpecs } from './hold/run-specs.ts'
import { reachAndDispatch } from './reach/reach-and-dispatch.ts'
import type { ReachableHosts } from './reach/reachable-hosts.ts'
import { runAttached } from './run/run-attached.ts'
import { attachAgain, runDurable } from './run/run-durable.ts'

/** What carrying out a ticket needs. */
export type TicketDeps = {
  readonly ledger: Ledger
  readonly workerId: string
  readonly hosts: ReachableHosts
  readonly triedWith: TriedWith
  readonly specs: JobSpecs
  readonly pool: Pool
  readonly held: HeldRuns
  /** Aborts when this worker lets go of everything: results that Redis does not take by then are not kept. */
  readonly closing: AbortSignal
  readonly log: Logger
}

/** What a run comes to: its end, or nothing to say because the run is not ours to end. */
export type Outcome = RunEnd | 'not ours'

/** Carries out one ticket. Resolves with a few words for Bull Board; rejects only when the ledger failed. */
export async function runTicket(deps: TicketDeps, ticket: Ticket): Promise<string> {
  const claim = await claimRun(deps.ledger, ticket, deps.workerId, deps.triedWith)
  if (claim === undefined) return 'nothing to do'
  const run = deps.held.hold(claim)
  const log = deps.log.child({ job_id: claim.jobId, host: claim.host, attempt: claim.attempt })
  let carried: CarriedOut | undefined
  let isStored = false
  try {
    carried = await carryOut({ ...deps, log }, run)
    const outcome = withCause(carried.outcome, run)
    if (outcome === 'not ours') return 'left to another worker'
    const word = await finish({ ...deps, log }, run, outcome)
    isStored = word !== 'fenced'
    log.info({ state: outcome.state, reason: outcome.reason, word }, 'attempt ended')
    return [word, outcome.state, outcome.reason, outcome.exitCode].filter((part) => part !== null).join(' ')
  } finally {
    run.release()
    await carried?.release?.(isStored)
  }
}

/** To a host it is the same who stops a command; here it is told that the error budget did, and not a person. */
function withCause(outcome: Outcome, run: HeldRun): Outcome {
  if (outcome === 'not ours' || outcome.reason !== 'cancelled_by_user' || run.stopCause() !== 'error_budget') {
    return outcome
  }
  const detail = 'too many hosts of the job had gone wrong, so it was stopped'
  const state = outcome.remote === 'not_started' ? 'skipped' : outcome.state
  return { ...outcome, state, reason: 'error_budget', detail }
}

/** The result of a command that has run is offered to Redis until it takes it. */
function finish(deps: TicketDeps, { claim, waitForRoom }: HeldRun, end: RunEnd) {
  const onError = (error: unknown) =>
    deps.log.error({ err: error }, 'Redis did not take the end of a run; trying again')
  return patiently(() => finishRun(deps.ledger, claim, end, waitForRoom), { signal: deps.closing, onError })
}

/** An outcome, and what is left to do when it was offered to the ledger: with whether it is safe there. */
export type CarriedOut = { readonly outcome: Outcome; readonly release?: (isStored: boolean) => Promise<void> }

async function carryOut(deps: TicketDeps, run: HeldRun): Promise<CarriedOut> {
  const { claim } = run
  const spec = await deps.specs.of(claim).catch(asDamage)
  if (spec instanceof MusterError) return { outcome: withoutSpec(claim, spec) }
  if (spec === undefined) return { outcome: neverStarted('skipped', 'policy_denied', 'the job is gone') }
  if (claim.startedAgoMs !== undefined) return await orLost(deps, attachAgain(deps, run, spec, claim.startedAgoMs))

  const dispatched = await reachAndDispatch(deps, run, spec).catch((error: unknown) => {
    deps.log.error({ err: error }, 'a fault of ours before dispatch')
    const detail = 'a fault in the worker, before the command was sent; its log has more'
    return { end: neverStarted('unreachable', 'worker_lost', detail, true) }
  })
  if ('end' in dispatched) return { outcome: dispatched.end }
  return await orLost(deps, (spec.durable ? runDurable : runAttached)(deps, run, spec, dispatched))
}

/** What Redis has lost does not come back by trying again. */
function asDamage(error: unknown): MusterError {
  if (error instanceof MusterError && error.code === 'job_damaged') return error
  throw error
}

function withoutSpec({ startedAgoMs }: Claim, { message }: MusterError): RunEnd {
  if (startedAgoMs === undefined) return neverStarted('skipped', 'policy_denied', message)
  return mayHaveRun('result_missing', message)
}

async function orLost(deps: TicketDeps, running: Promise<CarriedOut>): Promise<CarriedOut> {
  return await running.catch((error: unknown) => {
    deps.log.error({ err: error }, 'a fault of ours after dispatch')
    return { outcome: mayHaveRun('worker_lost', 'a fault in the worker, after the command was sent; its log has more') }
  })
}
