/** Reading one job: its counts, its owner, its hosts. What went wrong in it is in report-job.ts. */
import { type Batch, Counts, Job, RunState, Selection } from '@muster/contract'
import { batchCount, isErrorState } from '../job/rollout.ts'
import { isoTime, orDamaged, StoredJob } from '../job/stored-job.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { endedRuns, withEndedRuns } from './ended-job.ts'

/**
 * A job with its counts. Undefined when there is no such job.
 * @throws {MusterError} job_damaged; ledger_unavailable
 */
export async function findJob(ledger: Ledger, jobId: string): Promise<Job | undefined> {
  const fields = await ask(ledger.redis, () => ledger.redis.hgetall(ledger.keys.job(jobId)), jobId)
  if (fields.state === undefined) return undefined
  const { job, stored } = await orDamaged(jobId, () => readJobFields(jobId, fields))
  return withEndedRuns(job, stored, await endedRuns(ledger, jobId, stored))
}

/**
 * Whose job it is. Undefined when there is no such job.
 * @throws {MusterError} ledger_unavailable
 */
export async function ownerOfJob({ redis, keys }: Ledger, jobId: string): Promise<string | undefined> {
  return (await ask(redis, () => redis.hget(keys.job(jobId), 'owner'), jobId)) ?? undefined
}

/**
 * The frozen set of hosts of a job, in order. Undefined when there is no such job.
 * @throws {MusterError} ledger_unavailable
 */
export async function hostsOfJob({ redis, keys }: Ledger, jobId: string): Promise<string[] | undefined> {
  const hosts = await ask(redis, () => redis.lrange(keys.hosts(jobId), 0, -1), jobId)
  return hosts.length === 0 ? undefined : hosts
}

/**
 * A job by the fields of its hash, as it is stored and as callers see it while it goes on (ended-job.ts).
 * @throws {ZodError} when the record is damaged
 */
export function readJobFields(jobId: string, fields: Record<string, string>): { job: Job; stored: StoredJob } {
  const stored = StoredJob.parse(fields)
  const counts = Object.fromEntries(RunState.options.map((state) => [state, Number(fields[`n:${state}`] ?? 0)]))
  const path = `/v1/jobs/${jobId}`
  const job = Job.parse({
    job_id: jobId,
    state: stored.state,
    title: stored.title,
    targets: stored.targets,
    total: stored.total,
    counts: Counts.parse(counts),
    changes: stored.version,
    selection: Selection.parse(JSON.parse(stored.selection)),
    rerun_of: stored.rerun_of ?? null,
    concurrency: stored.concurrency,
    budget: {
      max_errors: stored.max_errors,
      errors: RunState.options.filter(isErrorState).reduce((sum, state) => sum + Number(counts[state]), 0),
      exceeded: stored.tripped_at !== undefined,
      on_budget: stored.on_budget,
    },
    batch: batchOf(stored),
    exec_timeout_s: stored.exec_timeout_ms / 1_000,
    owner: stored.owner,
    submitted_by: stored.key_id ?? stored.owner,
    traceparent: stored.traceparent ?? null,
    created_at: isoTime(stored.created),
    started_at: isoTime(stored.started),
    ended_at: isoTime(stored.ended),
    cancel_requested_at: isoTime(stored.cancel_requested),
    links: { self: path, runs: `${path}/runs`, output: `${path}/output`, events: `${path}/events` },
  })
  return { job, stored }
}

/** Where a job with batches is. Null without batches. */
function batchOf(job: StoredJob): Batch | null {
  const { batches, batch_from: from, batch_due: due, total } = job
  if (batches === undefined) return null
  const isPaused = job.state === 'paused'
  return {
    number: job.batch + 1,
    of: batchCount(batches.split(',').map(Number), total),
    hosts: job.batch_end - from,
    from,
    starts_at: due !== undefined && job.ended === undefined ? isoTime(due) : null,
    paused_because: isPaused ? (job.paused_because ?? 'gate') : null,
    paused_until: isPaused ? isoTime(job.start_deadline) : null,
  }
}
