/**
 * The job of the state machine: what it is, how its runs end and are released, and the state that callers see. Pure.
 * Knows neither claims nor workers; their steps are in state-machine.ts.
 */
import type { Reason, Remote, RunState, TerminalRunState } from '@muster/contract'
import { isTerminalRun } from '@muster/contract'
import { isErrorState } from '../../../libs/ledger/src/job/rollout.ts'

/** How an attempt ended, as far as the model needs it. */
export type MachineEnd = {
  readonly state: TerminalRunState
  readonly remote: Remote
  readonly reason: Reason | ''
  readonly exitCode: number | null
  readonly isRetryable: boolean
}

/** A run. */
export type MachineRun = {
  readonly state: RunState
  readonly remote: Remote
  readonly reason: Reason | ''
  readonly attempt: number
  readonly reissue: number
  readonly retried: number
  /** How often its worker was given up before the command was sent. */
  readonly abandoned: number
  readonly epoch: number
  /** The nonce of the last claim. With the epoch it tells that claim from one that Redis forgot. */
  readonly nonce?: string
  /** Undefined: no worker holds it. */
  readonly worker?: string
  readonly isDurable: boolean
  readonly isStopped: boolean
  /** The end of an earlier attempt that had started. */
  readonly kept?: Pick<MachineEnd, 'state' | 'remote' | 'reason'>
  readonly hasLateResult: boolean
  /** The nonce of the claim that ended it, by which the same end is known when it is sent again. */
  readonly endedNonce?: string
}

/** A job. Its clocks are facts, not times: they are over, or not. */
export type MachineJob = {
  readonly runs: readonly MachineRun[]
  readonly concurrency: number
  /** How many errors are tolerated, and whether there were more. */
  readonly maxErrors: number
  readonly isTripped: boolean
  /** Sizes of the batches, the last of which repeats; empty: none. Then the present batch, and where it ends. */
  readonly batches: readonly number[]
  readonly batch: number
  readonly batchEnd: number
  readonly gate: 'auto' | 'manual'
  readonly isPaused: boolean
  /** Hosts that had been tried when the batch began. */
  readonly triedBefore: number
  readonly retries: number
  readonly retryOn: readonly (string | number)[]
  readonly next: number
  readonly hasStarted: boolean
  readonly stop?: 'cancelled_by_user' | 'job_timeout' | 'error_budget' | 'key_revoked'
  readonly isStartOver: boolean
}

/** A job that was just accepted, with its first runs released. */
export function acceptedJob(
  total: number,
  options: Pick<MachineJob, 'concurrency' | 'retries' | 'retryOn' | 'maxErrors' | 'batches' | 'gate'>,
): MachineJob {
  const run: MachineRun = {
    state: 'pending',
    remote: 'not_started',
    reason: '',
    attempt: 0,
    reissue: 0,
    retried: 0,
    abandoned: 0,
    epoch: 0,
    isDurable: false,
    isStopped: false,
    hasLateResult: false,
  }
  const runs = Array.from({ length: total }, () => run)
  const batchEnd = Math.min(total, options.batches[0] ?? total)
  const rest = {
    batch: 0,
    batchEnd,
    isPaused: false,
    triedBefore: 0,
    isTripped: false,
    hasStarted: false,
    isStartOver: false,
  }
  return release({ ...options, ...rest, runs, next: 0 })
}

/** The state of a job that callers see. */
export function jobStateOf(job: MachineJob): string {
  const count = (state: RunState) => job.runs.filter((run) => run.state === state).length
  const [total, succeeded, cancelled] = [job.runs.length, count('succeeded'), count('cancelled')]
  if (!hasEnded(job)) {
    if (job.stop === 'cancelled_by_user') return 'cancelling'
    if (job.isPaused) return 'paused'
    return job.hasStarted ? 'running' : 'queued'
  }
  if (succeeded === total) return 'succeeded'
  if (cancelled === total || (cancelled > 0 && job.stop === 'cancelled_by_user')) return 'cancelled'
  return succeeded === 0 || job.isTripped ? 'failed' : 'partial'
}

/** Why a run must not start any more. The start deadline is for the first start only. */
export function whyNot(job: MachineJob, run: MachineRun): Pick<MachineEnd, 'state' | 'reason'> | undefined {
  if (job.stop === 'cancelled_by_user' || run.isStopped) return { state: 'cancelled', reason: 'cancelled_by_user' }
  if (job.stop === 'job_timeout') return { state: 'skipped', reason: 'job_timeout' }
  if (job.stop === 'error_budget') return { state: 'skipped', reason: 'error_budget' }
  if (job.stop === 'key_revoked') return { state: 'skipped', reason: 'key_revoked' }
  if (job.isStartOver && run.kept === undefined) return { state: 'skipped', reason: 'start_deadline' }
  return undefined
}

export function settle(
  job: MachineJob,
  index: number,
  end: Pick<MachineEnd, 'state' | 'remote' | 'reason'>,
): MachineJob {
  const kept = end.remote === 'not_started' ? job.runs[index]?.kept : undefined
  const { state, remote, reason } = kept ?? end
  return spendBudget(change(job, index, { state, remote, reason }))
}

/** With more errors than are tolerated, nothing more starts. */
function spendBudget(job: MachineJob): MachineJob {
  if (job.isTripped || job.runs.filter((run) => isErrorState(run.state)).length <= job.maxErrors) return job
  const tripped = { ...job, isTripped: true }
  if (job.stop !== undefined && job.stop !== 'key_revoked') return tripped
  return closeWaiting({ ...tripped, stop: 'error_budget' }, 'skipped', 'error_budget')
}

export function closeWaiting(job: MachineJob, state: 'cancelled' | 'skipped', reason: Reason): MachineJob {
  const waiting: ReadonlySet<RunState> = new Set(['pending', 'queued', 'retry_wait'])
  const closed = job.runs.reduce((now, _, index) => {
    const run = now.runs[index]
    if (run === undefined || !waiting.has(run.state) || (reason === 'start_deadline' && run.kept !== undefined))
      return now
    return settle(now, index, { state, remote: 'not_started', reason })
  }, job)
  return { ...closed, next: job.runs.length }
}

export function closeStart(job: MachineJob): MachineJob {
  if (hasEnded(job) || job.stop !== undefined || !job.isStartOver || !hasLateRuns(job)) return job
  return closeWaiting(job, 'skipped', 'start_deadline')
}

/** Whether a run of the present batch waits for its first start. */
function hasLateRuns(job: MachineJob): boolean {
  if (job.isPaused || job.next < job.batchEnd) return true
  return job.runs.some(({ state, kept }) => (state === 'queued' || state === 'retry_wait') && kept === undefined)
}

/** Releases the next pending runs of the present batch, up to the fan-out. */
export function release(before: MachineJob): MachineJob {
  const job = closeStart(before)
  if (job.stop !== undefined || job.isPaused) return job
  const inFlight = job.runs.filter((run) => run.state !== 'pending' && !isTerminalRun(run.state)).length
  const runs = [...job.runs]
  let count = 0
  let next = job.next
  for (; inFlight + count < job.concurrency && next < job.batchEnd; next += 1) {
    const run = runs[next]
    if (run?.state !== 'pending') continue
    runs[next] = { ...run, state: 'queued', attempt: 1 }
    count += 1
  }
  const released = { ...job, runs, next }
  if (inFlight + count > 0 || next < job.batchEnd || next >= runs.length) return released
  // The clock starts again, for the gate or the next batch.
  const isProven = triedCount(released) > job.triedBefore
  if (job.gate === 'auto' && isProven) return release(beginBatch(released))
  return { ...released, isPaused: true, isStartOver: false }
}

function triedCount({ runs }: MachineJob): number {
  return runs.filter(({ state }) => state === 'succeeded' || isErrorState(state)).length
}

export function beginBatch(job: MachineJob): MachineJob {
  const batch = job.batch + 1
  const size = job.batches[Math.min(batch, job.batches.length - 1)] ?? 0
  const batchEnd = Math.min(job.runs.length, job.batchEnd + size)
  return { ...job, batch, batchEnd, triedBefore: triedCount(job), isStartOver: false }
}

export function change(job: MachineJob, index: number, facts: Partial<MachineRun>): MachineJob {
  const run = job.runs[index]
  return run === undefined ? job : replace(job, index, { ...run, ...facts })
}

export function replace(job: MachineJob, index: number, run: MachineRun): MachineJob {
  return { ...job, runs: job.runs.map((old, i) => (i === index ? run : old)) }
}

export function hasEnded(job: MachineJob): boolean {
  return job.runs.every(({ state }) => isTerminalRun(state))
}
