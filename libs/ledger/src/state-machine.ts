/**
 * The state machine of a job and its runs, as one pure function: what every Lua script of `../lua` does, without Redis,
 * clocks by number and no tickets. The tests of the scripts compare each step with it; nothing else uses it.
 *
 * A run, in words (the columns are what happens to it):
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
 *   ¹ `cancelled`, or `skipped` for the start deadline and the time limit of the job; at once, or at its next claim. An
 *     earlier attempt that had started is not forgotten: then the run ends as that attempt did.
 *   ² Not when the job or the run is to stop, or a clock is over: then the worker is told so, and ends it as never started.
 *   ³ As another attempt, not counted as a retry. `e` is the epoch: every change of hands raises it, and a worker that
 *     comes with an older one is fenced: it changes nothing.
 *   ⁴ A durable run goes on at its host: it is nobody's (epoch + 1) until the next claim attaches to it (epoch + 1).
 *
 * `retry_wait` needs a retry that is left, and an end that may be tried again: never started (and the worker holds it
 * for promising), or listed in `retry_on`. A job ends when all its runs have.
 */
import type { Reason, Remote, RunState, TerminalRunState } from '@muster/contract'
import { isTerminalRun } from '@muster/contract'

/** How an attempt ended, as far as it matters here. */
export type MachineEnd = {
  readonly state: TerminalRunState
  readonly remote: Remote
  readonly reason: Reason | ''
  readonly exitCode: number | null
  readonly isRetryable: boolean
}

/** A run. */
type MachineRun = {
  readonly state: RunState
  readonly remote: Remote
  readonly reason: Reason | ''
  readonly attempt: number
  readonly resume: number
  readonly retried: number
  readonly epoch: number
  /** Undefined: nobody's. */
  readonly worker?: string
  readonly isDurable: boolean
  readonly isStopped: boolean
  /** The end of an earlier attempt that had started. */
  readonly kept?: Pick<MachineEnd, 'state' | 'remote' | 'reason'>
  readonly hasLateResult: boolean
  /** The epoch of the worker whose end was taken, so that the same end sent again is known. */
  readonly endedEpoch?: number
}

/** A job. The clocks are facts here, not times: they are over, or not. */
export type MachineJob = {
  readonly runs: readonly MachineRun[]
  readonly concurrency: number
  readonly retries: number
  readonly retryOn: readonly (string | number)[]
  readonly next: number
  readonly hasStarted: boolean
  readonly stop?: 'cancelled_by_user' | 'job_timeout'
  readonly isStartOver: boolean
}

/** What happens. `index` names the run. */
export type MachineEvent =
  | {
      readonly kind: 'claim'
      readonly index: number
      readonly attempt: number
      readonly resume: number
      readonly worker: string
    }
  | { readonly kind: 'dispatch'; readonly index: number; readonly epoch: number; readonly isDurable: boolean }
  | { readonly kind: 'finish'; readonly index: number; readonly epoch: number; readonly end: MachineEnd }
  | { readonly kind: 'hand_over'; readonly index: number; readonly epoch: number }
  | { readonly kind: 'worker_dies'; readonly worker: string }
  /** Without indexes: the whole job. */
  | { readonly kind: 'cancel'; readonly indexes?: readonly number[] }
  | { readonly kind: 'start_deadline' }
  | { readonly kind: 'job_timeout' }

/** The job afterwards, and what the one who asked is told. */
export type MachineStep = { readonly job: MachineJob; readonly answer: string }

/** A job just accepted: its first runs are let go. */
export function acceptedJob(
  total: number,
  options: Pick<MachineJob, 'concurrency' | 'retries' | 'retryOn'>,
): MachineJob {
  const run: MachineRun = {
    state: 'pending',
    remote: 'not_started',
    reason: '',
    attempt: 0,
    resume: 0,
    retried: 0,
    epoch: 0,
    isDurable: false,
    isStopped: false,
    hasLateResult: false,
  }
  const runs = Array.from({ length: total }, () => run)
  return release({ ...options, runs, next: 0, hasStarted: false, isStartOver: false })
}

/** What the scripts do, as a function. */
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
    case 'job_timeout':
      if (hasEnded(job) || job.stop !== undefined) return { job, answer: 'ok' }
      return { job: closeWaiting({ ...job, stop: 'job_timeout' }, 'skipped', 'job_timeout'), answer: 'ok' }
    default:
      return event satisfies never
  }
}

/** The state that callers see: of a job, made from its runs. */
export function jobStateOf(job: MachineJob): string {
  const count = (state: RunState) => job.runs.filter((run) => run.state === state).length
  const [total, succeeded, cancelled] = [job.runs.length, count('succeeded'), count('cancelled')]
  if (!hasEnded(job)) {
    if (job.stop === 'cancelled_by_user') return 'cancelling'
    return job.hasStarted ? 'running' : 'queued'
  }
  if (succeeded === total) return 'succeeded'
  if (cancelled === total || (cancelled > 0 && job.stop === 'cancelled_by_user')) return 'cancelled'
  return succeeded === 0 ? 'failed' : 'partial'
}

type EventOf<Kind extends MachineEvent['kind']> = Extract<MachineEvent, { kind: Kind }>

function claim(job: MachineJob, event: EventOf<'claim'>): MachineStep {
  const run = job.runs[event.index]
  if (run === undefined || (run.state === 'pending' && run.attempt === 0)) return { job, answer: 'gone' }
  if (run.attempt !== event.attempt || run.resume !== event.resume) return { job, answer: 'stale' }
  if (isTerminalRun(run.state)) return { job, answer: 'ended' }
  const held = { worker: event.worker, epoch: run.epoch + 1 }
  if (run.state === 'running' && run.worker === undefined) {
    return { job: change(job, event.index, held), answer: 'attach' }
  }
  if (run.state !== 'queued' && run.state !== 'retry_wait') return { job, answer: 'held' }
  const why = whyNot(job, run)
  if (why !== undefined)
    return { job: release(settle(job, event.index, { ...why, remote: 'not_started' })), answer: 'over' }
  return { job: { ...change(job, event.index, { ...held, state: 'connecting' }), hasStarted: true }, answer: 'start' }
}

function dispatch(job: MachineJob, event: EventOf<'dispatch'>): MachineStep {
  const run = job.runs[event.index]
  if (run?.epoch !== event.epoch) return { job, answer: 'fenced' }
  if (run.state === 'running') return { job, answer: 'go' }
  if (run.state !== 'connecting') return { job, answer: 'fenced' }
  const why = whyNot(job, run)
  if (why !== undefined) return { job, answer: `over ${why.state} ${why.reason}` }
  const { isDurable } = event
  return { job: change(job, event.index, { state: 'running', remote: 'started', reason: '', isDurable }), answer: 'go' }
}

function finish(job: MachineJob, { index, epoch, end }: EventOf<'finish'>): MachineStep {
  const run = job.runs[index]
  if (run === undefined) return { job, answer: 'fenced' }
  if (run.endedEpoch === epoch) return { job, answer: 'finished' }
  const isHeld = run.state === 'connecting' || run.state === 'running'
  if (!isHeld || run.epoch !== epoch) {
    const isLate = end.remote !== 'not_started'
    return { job: isLate ? change(job, index, { hasLateResult: true }) : job, answer: 'fenced' }
  }
  const told = change(job, index, { endedEpoch: epoch })
  const again = retry(told, index, end)
  return again === undefined
    ? { job: release(settle(told, index, end)), answer: 'finished' }
    : { job: again, answer: 'retrying' }
}

function handOver(job: MachineJob, { index, epoch }: EventOf<'hand_over'>): MachineStep {
  const run = job.runs[index]
  if (run?.state !== 'running' || run.epoch !== epoch || !run.isDurable) return { job, answer: 'fenced' }
  return { job: resume(job, index, run), answer: 'resumed' }
}

function resume(job: MachineJob, index: number, run: MachineRun): MachineJob {
  const { worker: _worker, ...nobodys } = run
  return replace(job, index, { ...nobodys, epoch: run.epoch + 1, resume: run.resume + 1 })
}

function abandon(job: MachineJob, worker: string): MachineJob {
  return job.runs.reduce((now, { worker: itsWorker }, index) => {
    const run = now.runs[index]
    if (run === undefined || itsWorker !== worker || run.worker !== worker) return now
    if (run.state !== 'connecting' && run.state !== 'running') return now
    if (run.state === 'running' && run.isDurable) return release(resume(now, index, run))
    const fenced = change(now, index, { epoch: run.epoch + 1 })
    if (run.state === 'connecting') {
      const why = whyNot(now, run)
      if (why !== undefined) return release(settle(fenced, index, { ...why, remote: 'not_started' }))
      const remote = run.kept?.remote ?? 'not_started'
      return release(change(fenced, index, { state: 'queued', attempt: run.attempt + 1, remote }))
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
  const stopped = indexes.reduce((now, index) => {
    const run = now.runs[index]
    if (run === undefined || isTerminalRun(run.state)) return now
    if (run.state === 'connecting' || run.state === 'running') return change(now, index, { isStopped: true })
    return settle(now, index, { state: 'cancelled', remote: 'not_started', reason: 'cancelled_by_user' })
  }, job)
  return { job: release(stopped), answer: 'cancelling' }
}

/** Why a run must not start any more. The start deadline is for the first start only. */
function whyNot(job: MachineJob, run: MachineRun): Pick<MachineEnd, 'state' | 'reason'> | undefined {
  if (job.stop === 'cancelled_by_user' || run.isStopped) return { state: 'cancelled', reason: 'cancelled_by_user' }
  if (job.stop === 'job_timeout') return { state: 'skipped', reason: 'job_timeout' }
  if (job.isStartOver && run.kept === undefined) return { state: 'skipped', reason: 'start_deadline' }
  return undefined
}

/** The job with the run waiting for another attempt. Undefined when it may have none. */
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
    resume: 0,
    ...(hasStarted ? { kept: { state: end.state, remote: end.remote, reason: end.reason } } : {}),
  })
}

function settle(job: MachineJob, index: number, end: Pick<MachineEnd, 'state' | 'remote' | 'reason'>): MachineJob {
  const kept = end.remote === 'not_started' ? job.runs[index]?.kept : undefined
  const { state, remote, reason } = kept ?? end
  return change(job, index, { state, remote, reason })
}

function closeWaiting(job: MachineJob, state: 'cancelled' | 'skipped', reason: Reason): MachineJob {
  const waiting: ReadonlySet<RunState> = new Set(['pending', 'queued', 'retry_wait'])
  const closed = job.runs.reduce((now, run, index) => {
    if (!waiting.has(run.state) || (reason === 'start_deadline' && run.kept !== undefined)) return now
    return settle(now, index, { state, remote: 'not_started', reason })
  }, job)
  return { ...closed, next: job.runs.length }
}

function closeStart(job: MachineJob): MachineJob {
  if (hasEnded(job) || job.stop !== undefined || !job.isStartOver) return job
  return closeWaiting(job, 'skipped', 'start_deadline')
}

/** Lets the next pending runs go, up to the fan-out. */
function release(before: MachineJob): MachineJob {
  const job = closeStart(before)
  if (job.stop !== undefined) return job
  const isOpen = (run: MachineRun) => run.state !== 'pending' && !isTerminalRun(run.state)
  const runs = [...job.runs]
  let free = job.concurrency - runs.filter(isOpen).length
  let next = job.next
  for (; free > 0 && next < runs.length; next += 1) {
    const run = runs[next]
    if (run?.state !== 'pending') continue
    runs[next] = { ...run, state: 'queued', attempt: 1 }
    free -= 1
  }
  return { ...job, runs, next }
}

function change(job: MachineJob, index: number, facts: Partial<MachineRun>): MachineJob {
  const run = job.runs[index]
  return run === undefined ? job : replace(job, index, { ...run, ...facts })
}

function replace(job: MachineJob, index: number, run: MachineRun): MachineJob {
  return { ...job, runs: job.runs.map((old, i) => (i === index ? run : old)) }
}

function hasEnded(job: MachineJob): boolean {
  return job.runs.every(({ state }) => isTerminalRun(state))
}
