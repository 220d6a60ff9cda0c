/**
 * Counts and state of a job that has ended, from the runs whose ends somebody vouches for. Redis has counts too, but
 * whoever can write to it could make a failure a success there. While a job goes on, its counts are progress only.
 *
 * All runs are read once. What was counted is kept for as long as the job does not change.
 */
import { Counts, isTerminalJob, type Job, type JobState, RunState } from '@muster/contract'
import { isErrorState } from '../job/rollout.ts'
import { freshVouch } from '../job/signed-end.ts'
import type { StoredJob } from '../job/stored-job.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { readOutcomes } from './read-outcomes.ts'
import { readEnd } from './read-run.ts'

/** Most jobs whose counts are kept. */
const KEPT_JOBS = 10_000
/** How long counts with unverified ends are kept: the key of those may be on its way to this server. */
const UNVERIFIED_MS = 30_000
/** Most unverified runs of a job that are named: as many as its report names. */
const NAMED_RUNS = 200

/** How the runs of an ended job have ended. */
export type EndedRuns = {
  readonly counts: Counts
  /** The indexes of the first runs whose end is unverified. */
  readonly unverified: readonly number[]
}

type Kept = { readonly version: number; readonly counting: Promise<EndedRuns>; untilMs: number }

const keptOf = new WeakMap<Ledger, Map<string, Kept>>()

/**
 * How the runs of a job have ended, by their own records. Undefined while the job goes on, and where nobody checks.
 * @throws {MusterError} ledger_unavailable
 */
export async function endedRuns(ledger: Ledger, jobId: string, job: StoredJob): Promise<EndedRuns | undefined> {
  if (!(await isChecked(ledger, job))) return undefined
  const kept = keptOf.get(ledger) ?? new Map<string, Kept>()
  keptOf.set(ledger, kept)
  const found = kept.get(jobId)
  if (found?.version === job.version && performance.now() < found.untilMs) return await found.counting
  const made: Kept = {
    version: job.version,
    counting: countRuns(ledger, jobId, job),
    untilMs: Number.POSITIVE_INFINITY,
  }
  kept.delete(jobId)
  kept.set(jobId, made)
  const [oldest] = kept.keys()
  if (kept.size > KEPT_JOBS && oldest !== undefined) kept.delete(oldest)
  try {
    const runs = await made.counting
    if (runs.unverified.length > 0) made.untilMs = performance.now() + UNVERIFIED_MS
    return runs
  } catch (error) {
    kept.delete(jobId)
    throw error
  }
}

async function countRuns(ledger: Ledger, jobId: string, job: StoredJob): Promise<EndedRuns> {
  const collected = collectEnds()
  const released = Math.min(job.total, job.rest_from ?? job.total)
  for await (const run of readOutcomes(ledger, jobId, job, released)) collected.add(run)
  if (released < job.total) {
    // The rest were never released and have no records: one of them says how all have ended.
    const { state, reason = null } = readEnd(await freshVouch(ledger), jobId, job, {
      index: released,
      fields: {},
      host: '',
    })
    collected.add({ index: released, state, reason }, job.total - released)
  }
  return collected.ended()
}

/** Counts runs that come one after the other. */
export function collectEnds(): {
  /** Adds a run, or as many as `count` that have ended alike. */
  add(run: { readonly index: number; readonly state: RunState; readonly reason: string | null }, count?: number): void
  ended(): EndedRuns
} {
  const counts = new Map<RunState, number>(RunState.options.map((state) => [state, 0]))
  const unverified: number[] = []
  return {
    add: ({ index, state, reason }, count = 1) => {
      counts.set(state, (counts.get(state) ?? 0) + count)
      if (reason === 'end_unverified' && unverified.length < NAMED_RUNS) unverified.push(index)
    },
    ended: () => ({ counts: Counts.parse(Object.fromEntries(counts)), unverified }),
  }
}

/** A job as callers see it, with the counts of its runs, and the state that follows from them, where they are known. */
export function withEndedRuns<J extends Job>(job: J, stored: StoredJob, runs: EndedRuns | undefined): J {
  if (runs === undefined) return job
  const { counts } = runs
  const errors = RunState.options.filter(isErrorState).reduce((sum, state) => sum + (counts[state] ?? 0), 0)
  return { ...job, state: endStateOf(stored, counts), counts, budget: { ...job.budget, errors } }
}

/** The state of a job all of whose runs were read: for one that has ended, the state that follows from them. */
export async function stateByRuns(ledger: Ledger, stored: StoredJob, { counts }: EndedRuns): Promise<JobState> {
  return (await isChecked(ledger, stored)) ? endStateOf(stored, counts) : stored.state
}

async function isChecked({ ends }: Ledger, { state }: StoredJob): Promise<boolean> {
  return isTerminalJob(state) && (await ends.freshCheck?.()) !== undefined
}

/** The state in which a job ends: `end_state` of settle.lua. */
function endStateOf(
  { total, stop, tripped_at: trippedAt }: StoredJob,
  { succeeded = 0, cancelled = 0 }: Counts,
): JobState {
  if (succeeded === total) return 'succeeded'
  if (cancelled === total || (cancelled > 0 && stop === 'cancelled_by_user')) return 'cancelled'
  if (succeeded === 0 || trippedAt !== undefined) return 'failed'
  return 'partial'
}
