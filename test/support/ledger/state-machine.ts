/**
 * The state machine of a job and its runs as one pure function: what the Lua scripts of libs/ledger do, without Redis
 * and tickets, and with clocks as facts. ledger-model.test.ts compares each step of the scripts with it.
 *
 * A run (the columns are what happens to it):
 *
 *   state      │ claim            dispatch          finish                     worker dies          cancel · too late
 *   ───────────┼──────────────────────────────────────────────────────────────────────────────────────────────────────
 *   pending    │ –                –                 –                          –                    ends ¹
 *   queued     │ connecting, e+1  fenced            fenced                     –                    ends ¹
 *   retry_wait │ connecting, e+1  fenced            fenced                     –                    ends ¹
 *   connecting │ held             running ²         retry_wait or terminal     queued, e+1 ³         stops at dispatch
 *   running    │ held ⁴           go again          retry_wait or terminal     lost, or nobody's ⁴  its worker kills it
 *   terminal   │ ended            fenced            fenced: late result        –                    –
 *
 *   ¹ `cancelled`, or `skipped` for the start deadline, the time limit of the job and a void key; at once, or at its
 *     next claim.
 *     If an earlier attempt had started, the run ends as that attempt did.
 *   ² Not when the job or the run is to stop, or a clock is over: the worker is told so, and ends it as never started.
 *   ³ As another attempt, not counted as a retry; the third time `unreachable`. `e` is the epoch: every change of hands
 *     raises it, and a worker that comes with an older one is fenced: it changes nothing. After a failover Redis may
 *     forget a claim and give its epoch out again; then the nonce of the claim tells which of the two it is.
 *   ⁴ A durable run goes on at its host. No worker holds it (epoch + 1) until the next claim takes it over (epoch + 1).
 *
 * A run waits in `retry_wait` when it has a retry left and its end may be tried again: it never started (and its worker
 * thinks another attempt promising), or `retry_on` lists the end. A job ends when all its runs have ended.
 *
 * `pending` runs of a job are released in order, `concurrency` at a time, within the present batch. When a batch has
 * ended the next one begins; with a manual gate the job is `paused` before it. One error more than are tolerated ends
 * what waits as `skipped`, and nothing more starts. Left out, because they change nothing of what may happen to a run:
 * the places of workers and machines, the circuit breakers, and the pauses between batches.
 */
import { isTerminalRun } from '@muster/contract'
import {
  beginBatch,
  change,
  closeStart,
  closeWaiting,
  hasEnded,
  type MachineEnd,
  type MachineJob,
  type MachineRun,
  release,
  replace,
  settle,
  whyNot,
} from './machine-job.ts'

/** What tells a claim from others. */
type MachineClaim = { readonly index: number; readonly epoch: number; readonly nonce: string }

/** What happens. `index` names the run. */
export type MachineEvent =
  | {
      readonly kind: 'claim'
      readonly index: number
      readonly attempt: number
      readonly reissue: number
      readonly worker: string
      readonly nonce: string
    }
  | ({ readonly kind: 'dispatch'; readonly isDurable: boolean } & MachineClaim)
  | ({ readonly kind: 'finish'; readonly end: MachineEnd } & MachineClaim)
  | ({ readonly kind: 'hand_over' } & MachineClaim)
  | { readonly kind: 'worker_dies'; readonly worker: string }
  /** Without indexes: the whole job. */
  | { readonly kind: 'cancel'; readonly indexes?: readonly number[] }
  | { readonly kind: 'resume' }
  | { readonly kind: 'set_concurrency'; readonly concurrency: number }
  | { readonly kind: 'start_deadline' }
  | { readonly kind: 'job_timeout' }
  | { readonly kind: 'key_revoked' }

/** The job afterwards, and the answer to the caller. */
export type MachineStep = { readonly job: MachineJob; readonly answer: string }

/** A run that takes its workers down with it must not do so for ever. */
const MOST_ABANDONED = 3

/** Takes one step. */
export function step(job: MachineJob, event: MachineEvent): MachineStep {
  switch (event.kind) {
    case 'claim':
      return claim(job, event)
    case 'dispatch':
      return dispatch(job, event)
    case 'finish':
      return finish(job, event)
    case 'hand_over':
      return handOver(job, event)
    case 'worker_dies':
      return { job: abandon(job, event.worker), answer: 'swept' }
    case 'cancel':
      return cancel(job, event.indexes)
    case 'start_deadline':
      return { job: closeStart({ ...job, isStartOver: true }), answer: 'ok' }
    case 'resume':
      if (hasEnded(job) || !job.isPaused || job.next === job.runs.length) return { job, answer: 'not_paused' }
      return { job: release(beginBatch({ ...job, isPaused: false })), answer: 'resumed' }
    case 'set_concurrency':
      if (hasEnded(job)) return { job, answer: 'ended' }
      return { job: release({ ...job, concurrency: event.concurrency }), answer: 'changed' }
    case 'job_timeout':
      if (hasEnded(job) || job.stop === 'cancelled_by_user' || job.stop === 'job_timeout') return { job, answer: 'ok' }
      return { job: closeWaiting({ ...job, stop: 'job_timeout' }, 'skipped', 'job_timeout'), answer: 'ok' }
    case 'key_revoked':
      if (hasEnded(job) || job.stop !== undefined) return { job, answer: 'ok' }
      return { job: closeWaiting({ ...job, stop: 'key_revoked' }, 'skipped', 'key_revoked'), answer: 'ok' }
    default:
      return event satisfies never
  }
}

type EventOf<Kind extends MachineEvent['kind']> = Extract<MachineEvent, { kind: Kind }>

function claim(job: MachineJob, event: EventOf<'claim'>): MachineStep {
  const run = job.runs[event.index]
  if (run === undefined || (run.state === 'pending' && run.attempt === 0)) return { job, answer: 'gone' }
  if (run.attempt !== event.attempt || run.reissue !== event.reissue) return { job, answer: 'stale' }
  if (isTerminalRun(run.state)) return { job, answer: 'ended' }
  const held = { worker: event.worker, epoch: run.epoch + 1, nonce: event.nonce }
  if (run.state === 'running' && run.worker === undefined) {
    return { job: change(job, event.index, held), answer: 'attach' }
  }
  if (run.state !== 'queued' && run.state !== 'retry_wait') return { job, answer: 'held' }
  const why = whyNot(job, run)
  if (why !== undefined)
    return { job: release(settle(job, event.index, { ...why, remote: 'not_started' })), answer: 'over' }
  return { job: { ...change(job, event.index, { ...held, state: 'connecting' }), hasStarted: true }, answer: 'start' }
}

/** Whether this claim holds the run. Two claims may share an epoch, when Redis forgot one of them. */
function isOf({ epoch, nonce }: MachineClaim, run: MachineRun): boolean {
  return run.epoch === epoch && run.nonce === nonce
}

function dispatch(job: MachineJob, event: EventOf<'dispatch'>): MachineStep {
  const run = job.runs[event.index]
  if (run === undefined || !isOf(event, run)) return { job, answer: 'fenced' }
  if (run.state === 'running') return { job, answer: 'go' }
  if (run.state !== 'connecting') return { job, answer: 'fenced' }
  const why = whyNot(job, run)
  if (why !== undefined) return { job, answer: `over ${why.state} ${why.reason}` }
  const { isDurable } = event
  return { job: change(job, event.index, { state: 'running', remote: 'started', reason: '', isDurable }), answer: 'go' }
}

function finish(job: MachineJob, event: EventOf<'finish'>): MachineStep {
  const { index, nonce, end } = event
  const run = job.runs[index]
  if (run === undefined) return { job, answer: 'fenced' }
  if (run.endedNonce === nonce) return { job, answer: 'finished' }
  const isHeld = run.state === 'connecting' || run.state === 'running'
  if (!isHeld || !isOf(event, run)) {
    const isLate = end.remote !== 'not_started'
    return { job: isLate ? change(job, index, { hasLateResult: true }) : job, answer: 'fenced' }
  }
  const told = change(job, index, { endedNonce: nonce })
  const again = retry(told, index, end)
  return again === undefined
    ? { job: release(settle(told, index, end)), answer: 'finished' }
    : { job: again, answer: 'retrying' }
}

function handOver(job: MachineJob, event: EventOf<'hand_over'>): MachineStep {
  const run = job.runs[event.index]
  if (run?.state !== 'running' || !isOf(event, run) || !run.isDurable) return { job, answer: 'fenced' }
  return { job: offer(job, event.index, run), answer: 'handed_over' }
}

function offer(job: MachineJob, index: number, run: MachineRun): MachineJob {
  const { worker: _worker, ...unheld } = run
  return replace(job, index, { ...unheld, epoch: run.epoch + 1, reissue: run.reissue + 1 })
}

function abandon(job: MachineJob, worker: string): MachineJob {
  return job.runs.reduce((now, { worker: itsWorker }, index) => {
    const run = now.runs[index]
    if (run === undefined || itsWorker !== worker || run.worker !== worker) return now
    if (run.state !== 'connecting' && run.state !== 'running') return now
    if (run.state === 'running' && run.isDurable) return release(offer(now, index, run))
    const fenced = change(now, index, { epoch: run.epoch + 1 })
    if (run.state === 'connecting') {
      const abandoned = run.abandoned + 1
      const givenUp =
        abandoned >= MOST_ABANDONED ? ({ state: 'unreachable', reason: 'worker_lost' } as const) : undefined
      const why = whyNot(now, run) ?? givenUp
      if (why !== undefined) return release(settle(fenced, index, { ...why, remote: 'not_started' }))
      const remote = run.kept?.remote ?? 'not_started'
      return release(change(fenced, index, { state: 'queued', attempt: run.attempt + 1, remote, abandoned }))
    }
    const end: MachineEnd = {
      state: 'lost',
      remote: 'unknown',
      reason: 'worker_lost',
      exitCode: null,
      isRetryable: false,
    }
    return release(retry(fenced, index, end) ?? settle(fenced, index, end))
  }, job)
}

function cancel(job: MachineJob, indexes: readonly number[] | undefined): MachineStep {
  if (hasEnded(job)) return { job, answer: 'ended' }
  if (indexes === undefined) {
    // A job that is being stopped for its time limit and is then cancelled, is cancelled.
    const stopped = { ...job, stop: 'cancelled_by_user' as const }
    return { job: closeWaiting(stopped, 'cancelled', 'cancelled_by_user'), answer: 'cancelling' }
  }
  // From the last to the first, as cancelJob does: the end of one may spend the error budget and skip the others.
  const fromLast = [...indexes].sort((a, b) => b - a)
  const stopped = fromLast.reduce((now, index) => {
    const run = now.runs[index]
    if (run === undefined || isTerminalRun(run.state)) return now
    if (run.state === 'connecting' || run.state === 'running') return change(now, index, { isStopped: true })
    return settle(now, index, { state: 'cancelled', remote: 'not_started', reason: 'cancelled_by_user' })
  }, job)
  return { job: release(stopped), answer: 'cancelling' }
}

/** The job with the run waiting for another attempt. Undefined when the run may have none. */
function retry(job: MachineJob, index: number, end: MachineEnd): MachineJob | undefined {
  const run = job.runs[index]
  if (run === undefined || run.retried >= job.retries || whyNot(job, run) !== undefined) return undefined
  const hasStarted = end.remote !== 'not_started'
  const isListed =
    job.retryOn.includes(end.state) ||
    (end.state === 'failed' && end.exitCode !== null && job.retryOn.includes(end.exitCode))
  const isWanted = hasStarted
    ? end.reason !== 'job_timeout' && isListed
    : end.isRetryable && end.state === 'unreachable'
  if (!isWanted) return undefined
  return change(job, index, {
    state: 'retry_wait',
    remote: hasStarted ? end.remote : (run.kept?.remote ?? end.remote),
    reason: end.reason,
    attempt: run.attempt + 1,
    retried: run.retried + 1,
    reissue: 0,
    ...(hasStarted ? { kept: { state: end.state, remote: end.remote, reason: end.reason } } : {}),
  })
}
