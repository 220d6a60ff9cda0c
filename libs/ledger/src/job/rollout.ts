/**
 * The numbers of a rollout, from the options of a job and the size of its frozen set. Pure; the Lua scripts go by them.
 */
import { CONCURRENCY_LIMIT, type Concurrency, countOf, type JobSpec, type RunState } from '@muster/contract'

const ERROR_STATES: ReadonlySet<RunState> = new Set<RunState>(['failed', 'timed_out', 'unreachable', 'lost'])

/** Whether a run in this state counts against the error budget. */
export function isErrorState(state: RunState): boolean {
  return ERROR_STATES.has(state)
}

/** What the scripts need to know. */
export type Rollout = {
  readonly concurrency: number
  /** Errors that are tolerated; one more is too many. */
  readonly maxErrors: number
  /** Runs of the kind that may be on a host at once. */
  readonly hostLimit: number
  /** Sizes of the batches, the last of which repeats. Empty: no batches. */
  readonly batches: readonly number[]
}

/** Runs at once on a host, unless the job says another number. */
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
 * How many of `total` runs may go at once. Scripts look at all that are open: Redis does nothing else meanwhile, so that a
 * percentage may not be more than a number may.
 */
export function concurrencyOf(concurrency: Concurrency, total: number): number {
  return Math.min(CONCURRENCY_LIMIT, Math.max(1, countOf(concurrency, total, 'up')))
}

/** How many batches there are of these sizes, the last of which repeats. */
export function batchCount(sizes: readonly number[], total: number): number {
  let left = total
  for (const [i, size] of sizes.entries()) {
    left -= size
    if (left <= 0) return i + 1
  }
  return sizes.length + Math.ceil(left / (sizes.at(-1) ?? total))
}
