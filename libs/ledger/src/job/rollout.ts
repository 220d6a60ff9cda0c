/**
 * The numbers of a rollout, from the options of a job and the size of its frozen set. The Lua scripts use them. Pure.
 */
import { CONCURRENCY_LIMIT, type Concurrency, countOf, type JobSpec, type RunState } from '@muster/contract'

const ERROR_STATES: ReadonlySet<RunState> = new Set<RunState>(['failed', 'timed_out', 'unreachable', 'lost'])

/** Whether a run in this state counts against the error budget. */
export function isErrorState(state: RunState): boolean {
  return ERROR_STATES.has(state)
}

/** The numbers that the scripts need. */
export type Rollout = {
  readonly concurrency: number
  /** How many errors are tolerated. */
  readonly maxErrors: number
  /** How many runs of the job's kind (changing or read-only) may be at a machine at once. */
  readonly hostLimit: number
  /** Sizes of the batches; the last repeats. Empty: no batches. */
  readonly batches: readonly number[]
}

/** Runs at a machine at once, unless the job says another number. */
const CHANGING_LIMIT = 1
const READ_ONLY_LIMIT = 4

/** The rollout of a job over `total` hosts. */
export function rolloutOf(spec: JobSpec, total: number): Rollout {
  const sizes = spec.canary === undefined ? spec.batches : [spec.canary, '100%']
  const batches = (sizes ?? []).map((size) => Math.max(1, countOf(size, total, 'down')))
  const maxErrors = spec.max_errors ?? (batches.length > 0 ? 0 : '100%')
  return {
    concurrency: concurrencyOf(spec.concurrency, total),
    maxErrors: countOf(maxErrors, total, 'down'),
    hostLimit: spec.host_limit ?? (spec.read_only ? READ_ONLY_LIMIT : CHANGING_LIMIT),
    batches,
  }
}

/**
 * How many of `total` runs may be in flight at once. A script may look at all open runs, and Redis does nothing else
 * meanwhile; so a percentage has the same limit as a number.
 */
export function concurrencyOf(concurrency: Concurrency, total: number): number {
  return Math.min(CONCURRENCY_LIMIT, Math.max(1, countOf(concurrency, total, 'up')))
}

/** How many batches of these sizes `total` runs make; the last size repeats. */
export function batchCount(sizes: readonly number[], total: number): number {
  let left = total
  for (const [i, size] of sizes.entries()) {
    left -= size
    if (left <= 0) return i + 1
  }
  return sizes.length + Math.ceil(left / (sizes.at(-1) ?? total))
}

/** The batch, counted from 0, that a run is in; the last size repeats. */
export function batchOf(index: number, sizes: readonly number[]): number {
  let left = index
  for (const [i, size] of sizes.entries()) {
    if (left < size) return i
    left -= size
  }
  return sizes.length + Math.floor(left / (sizes.at(-1) ?? Number.POSITIVE_INFINITY))
}
