/** Reading jobs: one with its counts, one with what went wrong in it, all of them newest first. */
import {
  Counts,
  foldHosts,
  type HostsByState,
  Job,
  type JobReport,
  JobSpec,
  type Run,
  RunState,
} from '@muster/contract'
import { ask, type Ledger } from './open-ledger.ts'
import { readRuns } from './read-run.ts'
import { isoTime, StoredJob } from './stored-job.ts'

/** Most hosts with problems that a report names; all of them are listed with the runs. */
const PROBLEMS_LIMIT = 200
/** Longest command text a report shows. */
const COMMAND_LIMIT_CHARS = 2_000

/**
 * A job with its counts. Undefined when there is no such job.
 * @throws {MusterError} ledger_unavailable
 */
export async function findJob(ledger: Ledger, jobId: string): Promise<Job | undefined> {
  const fields = await ask(ledger.redis, () => ledger.redis.hgetall(ledger.keys.job(jobId)), jobId)
  return fields.state === undefined ? undefined : toJob(jobId, fields)
}

/**
 * A job, its command, and what went wrong in it so far, hosts folded by state and reason.
 * @throws {MusterError} ledger_unavailable
 */
export async function reportJob(ledger: Ledger, jobId: string): Promise<JobReport | undefined> {
  const { redis, keys } = ledger
  const fields = await ask(redis, () => redis.hgetall(keys.job(jobId)), jobId)
  if (fields.state === undefined) return undefined
  const stored = StoredJob.parse(fields)
  const [indexes, wrong] = await ask(redis, () =>
    Promise.all([redis.lrange(keys.wrong(jobId), 0, PROBLEMS_LIMIT - 1), redis.llen(keys.wrong(jobId))]),
  )
  const runs = await readRuns(ledger, jobId, stored, indexes.map(Number))
  const never = stored.rest_from === undefined ? 0 : stored.total - stored.rest_from
  const unreleased =
    stored.rest_from === undefined
      ? []
      : await redis.lrange(keys.hosts(jobId), stored.rest_from, stored.rest_from + PROBLEMS_LIMIT - 1)
  const problems = groupByState(runs)
  if (unreleased.length > 0) {
    problems.push({
      state: 'cancelled',
      reason: 'cancelled_by_user',
      exit_code: null,
      detail: null,
      hosts: foldHosts(unreleased),
      count: unreleased.length,
    })
  }
  return {
    ...toJob(jobId, fields),
    command: commandText(JobSpec.parse(JSON.parse(stored.spec))),
    problems,
    problems_omitted: wrong - runs.length + never - unreleased.length,
  }
}

/**
 * A page of jobs, newest first. `cursor` is the `next_cursor` of the page before.
 * @throws {MusterError} ledger_unavailable
 */
export async function listJobs(
  ledger: Ledger,
  page: { limit: number; cursor?: string | undefined },
): Promise<{ jobs: Job[]; next_cursor: string | null }> {
  const { redis, keys } = ledger
  return ask(redis, async () => {
    // The cursor is the last ID seen: jobs that arrive meanwhile do not shift the pages.
    const rank = page.cursor === undefined ? null : await redis.zrevrank(keys.jobs, page.cursor)
    const start = rank === null ? 0 : rank + 1
    const jobIds = await redis.zrevrange(keys.jobs, start, start + page.limit - 1)
    const jobs = await Promise.all(jobIds.map((jobId) => findJob(ledger, jobId)))
    const last = jobIds.length === page.limit ? jobIds.at(-1) : undefined
    return { jobs: jobs.filter((job) => job !== undefined), next_cursor: last ?? null }
  })
}

/** Runs without output, folded: those that ended alike are one row. */
export function groupByState(runs: readonly Run[]): HostsByState[] {
  const groups = new Map<string, { first: Run; hosts: string[] }>()
  for (const run of runs) {
    const key = JSON.stringify([run.state, run.reason, run.exit_code])
    const group = groups.get(key) ?? { first: run, hosts: [] }
    group.hosts.push(run.host)
    groups.set(key, group)
  }
  return [...groups.values()]
    .sort((a, b) => b.hosts.length - a.hosts.length)
    .map(({ first, hosts }) => ({
      state: first.state,
      reason: first.reason,
      exit_code: first.exit_code,
      detail: first.detail,
      hosts: foldHosts(hosts),
      count: hosts.length,
    }))
}

function toJob(jobId: string, fields: Record<string, string>): Job {
  const stored = StoredJob.parse(fields)
  const counts = Object.fromEntries(RunState.options.map((state) => [state, Number(fields[`n:${state}`] ?? 0)]))
  const path = `/v1/jobs/${jobId}`
  return Job.parse({
    job_id: jobId,
    state: stored.state,
    title: stored.title,
    targets: stored.targets,
    total: stored.total,
    counts: Counts.parse(counts),
    concurrency: stored.concurrency,
    submitted_by: stored.owner,
    created_at: isoTime(stored.created),
    started_at: isoTime(stored.started),
    ended_at: isoTime(stored.ended),
    links: { self: path, runs: `${path}/runs`, output: `${path}/output` },
  })
}

function commandText(spec: JobSpec): string {
  const text = spec.command ?? spec.script ?? spec.argv?.map(quoteForReading).join(' ') ?? ''
  return text.length <= COMMAND_LIMIT_CHARS ? text : `${text.slice(0, COMMAND_LIMIT_CHARS)}…`
}

/** For people to read; what runs on the host is quoted by libs/ssh. */
function quoteForReading(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
