/**
 * Carries out one ticket: claim → reach the host → dispatch mark → run → finish. Read from top to bottom, this
 * is what Muster does on a host.
 *
 * Every claimed run gets exactly one end, whatever goes wrong: an unexpected fault before the dispatch mark means "not
 * started", one after it "lost", never anything better. The ledger decides about another attempt.
 */
import { MusterError } from '@muster/contract'
import { type Claim, claimRun, finishRun, type RunEnd, type Ticket } from '@muster/ledger'
import type { HeldRun, HeldRuns } from './hold/held-runs.ts'
import type { ReadySpec, SecretsOfJobs } from './hold/job-secrets.ts'
import { endOfSpent } from './hold/own-starts.ts'
import { patiently } from './hold/patience.ts'
import { type EndAndCleanUp, mayHaveRun, neverStarted, type TicketEnd, withReached } from './hold/run-end.ts'
import type { RunSpecs } from './hold/run-specs.ts'
import { type ReachDeps, reachAndDispatch } from './reach/reach-and-dispatch.ts'
import type { DurableDeps } from './run/durable-follow.ts'
import { runAttached } from './run/run-attached.ts'
import { runDurable, takeOver } from './run/run-durable.ts'

/** What carrying out a ticket needs. */
export type TicketDeps = ReachDeps &
  DurableDeps & {
    readonly workerId: string
    readonly specs: RunSpecs
    readonly jobSecrets: SecretsOfJobs
    readonly held: HeldRuns
  }

/** What is told of a run whose command, or whose health check, printed a secret. */
const MASKED = 'secrets of the job were printed; each of their bytes is shown as "*"'

/** Carries out one ticket. Resolves with a few words for Bull Board; rejects only when the ledger failed. */
export async function runTicket(deps: TicketDeps, ticket: Ticket): Promise<string> {
  const claim = await claimRun(deps.ledger, ticket, deps.workerId, deps.triedWith)
  if (claim === undefined) return 'nothing to do'
  const run = deps.held.hold(claim)
  const log = deps.log.child({ job_id: claim.jobId, host: claim.host, attempt: claim.attempt })
  let carriedOut: EndAndCleanUp | undefined
  let isStored = false
  try {
    carriedOut = await carryOut({ ...deps, log }, run)
    const end = withCause(carriedOut.end, run)
    if (end === 'not ours') return 'left to another worker'
    const onError = (error: unknown) =>
      log.error({ err: error }, 'the end of a run could not be stored in Redis; trying again')
    const finish = () => finishRun(deps.ledger, claim, end, run.waitForRoom)
    const word = await patiently(finish, { signal: deps.closing, onError })
    isStored = word !== 'fenced'
    log.info({ state: end.state, reason: end.reason, word }, 'attempt ended')
    return [word, end.state, end.reason, end.exitCode].filter((part) => part !== null).join(' ')
  } finally {
    run.release()
    await carriedOut?.cleanUp?.(isStored)
  }
}

/** Names the error budget as the cause if it stopped the run: libs/ssh reports every such stop as a cancel. */
function withCause(end: TicketEnd, run: HeldRun): TicketEnd {
  if (end === 'not ours' || end.reason !== 'cancelled_by_user' || run.stoppedBy() !== 'error_budget') return end
  const detail = 'too many hosts of the job had gone wrong, so it was stopped'
  const state = end.remote === 'not_started' ? 'skipped' : end.state
  return { ...end, state, reason: 'error_budget', detail }
}

async function carryOut(deps: TicketDeps, run: HeldRun): Promise<EndAndCleanUp> {
  const { claim } = run
  const spec = await deps.specs.of(claim).catch(asDamage)
  if (spec instanceof MusterError) return { end: endWithout('policy_denied', claim, spec.message) }
  if (spec === undefined) return { end: neverStarted('skipped', 'policy_denied', 'the job is gone') }
  if ('refused' in spec) return { end: endWithout('signature_invalid', claim, spec.refused) }
  const held = await deps.jobSecrets.hold(claim, spec)
  if ('unreadable' in held) return { end: endWithout('secrets_unreadable', claim, held.unreadable) }
  try {
    const { end, ...cleanUp } = await carryOutWith(deps, run, held.spec)
    return { end: end === 'not ours' ? end : withoutSecrets(end, held.spec), ...cleanUp }
  } finally {
    held.release()
  }
}

/** The end without the secrets of the job: a host may have said in its own words what it was told. */
function withoutSecrets(end: RunEnd, { scrub, masks }: ReadySpec): RunEnd {
  const detail = end.detail === null ? null : scrub(end.detail)
  return { ...end, detail, ...(masks?.hasMasked() === true && { notice: MASKED }) }
}

async function carryOutWith(deps: TicketDeps, run: HeldRun, spec: ReadySpec): Promise<EndAndCleanUp> {
  const { claim } = run
  if (claim.startedAgoMs !== undefined) return await orLost(deps, takeOver(deps, run, spec, claim.startedAgoMs))

  if (deps.starts.isSpent(claim, spec.starts)) return { end: endOfSpent() }
  const dispatched = await reachAndDispatch(deps, run, spec).catch((error: unknown) => {
    deps.log.error({ err: error }, 'a fault of ours before dispatch')
    const detail = 'a fault in the worker, before the command was sent; its log has more'
    return { end: neverStarted('unreachable', 'worker_lost', detail, { isRetryable: true }) }
  })
  if ('end' in dispatched) return dispatched
  const { reached } = dispatched.checkout.connection
  const running = (spec.isDurable ? runDurable : runAttached)(deps, run, spec, dispatched)
  const { end, ...cleanUp } = await orLost(deps, running)
  if (end !== 'not ours' && end.remote === 'not_started') deps.starts.giveBack(claim)
  return { end: withReached(end, reached), ...cleanUp }
}

/** Returns the error of a damaged job, and rethrows any other: trying again cannot repair damage. */
function asDamage(error: unknown): MusterError {
  if (error instanceof MusterError && error.code === 'job_damaged') return error
  throw error
}

/** The end of a run of which this worker lacks a part, so that it can neither start nor be followed. */
function endWithout(
  reason: 'policy_denied' | 'secrets_unreadable' | 'signature_invalid',
  { startedAgoMs }: Claim,
  why: string,
): RunEnd {
  if (startedAgoMs === undefined) return neverStarted('skipped', reason, why)
  return mayHaveRun(reason === 'policy_denied' ? 'result_missing' : reason, why)
}

async function orLost({ log }: TicketDeps, running: Promise<EndAndCleanUp>): Promise<EndAndCleanUp> {
  return await running.catch((error: unknown) => {
    log.error({ err: error }, 'a fault of ours after dispatch')
    return { end: mayHaveRun('worker_lost', 'a fault in the worker, after the command was sent; its log has more') }
  })
}
