/** Reading jobs: one with its counts, one with what went wrong in it, all of them newest first. */
import {
  Counts,
  foldHosts,
  type HostsByState,
  type HostsNoticed,
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
 * The frozen set of hosts of a job, in order. Undefined when there is no such job.
 * @throws {MusterError} ledger_unavailable
 */
export async function hostsOfJob({ redis, keys }: Ledger, jobId: string): Promise<string[] | undefined> {
  const hosts = await ask(redis, () => redis.lrange(keys.hosts(jobId), 0, -1), jobId)
  return hosts.length === 0 ? undefined : hosts
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
  const rest = await readRest(ledger, jobId, stored)
  const noticed = await ask(redis, () => redis.srandmember(keys.noticed(jobId), PROBLEMS_LIMIT))
  return {
    ...toJob(jobId, fields),
    command: commandText(JobSpec.parse(JSON.parse(stored.spec))),
    // They come in the order in which they ended; names fold best in that of the set.
    problems: groupByState([...runs, ...rest].sort((a, b) => a.index - b.index)),
    problems_omitted: wrong - runs.length + stored.rest_count - rest.length,
    notices: groupByNotice(await readRuns(ledger, jobId, stored, noticed.map(Number))),
  }
}

/** The first of the runs that ended without ever having been released. Those that ended before by themselves are not. */
async function readRest(ledger: Ledger, jobId: string, job: StoredJob): Promise<Run[]> {
  const { rest_from: from, total } = job
  if (from === undefined) return []
  const indexes = Array.from({ length: Math.min(PROBLEMS_LIMIT, total - from) }, (_, i) => from + i)
  const runs = await readRuns(ledger, jobId, job, indexes)
  return runs.filter((run) => run.queued_at === null && run.ended_at === isoTime(job.rest_at))
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

/** Runs without output, folded: those that ended alike are one row. A detail is told where it is that of all. */
export function groupByState(runs: readonly Run[]): HostsByState[] {
  return groupBy(runs, (run) => [run.state, run.reason, run.exit_code, run.remote])
    .sort((a, b) => b.runs.length - a.runs.length)
    .map(({ first, runs: alike }) => ({
      state: first.state,
      reason: first.reason,
      exit_code: first.exit_code,
      detail: alike.every(({ detail }) => detail === first.detail) ? first.detail : null,
      hosts: foldHosts(alike.map(({ host }) => host)),
      count: alike.length,
    }))
}

function groupByNotice(runs: readonly Run[]): HostsNoticed[] {
  const noticed = [...runs].sort((a, b) => a.index - b.index)
  return groupBy(noticed, (run) => [noticeOf(run)]).map(({ first, runs: alike }) => ({
    notice: noticeOf(first),
    hosts: foldHosts(alike.map(({ host }) => host)),
    count: alike.length,
  }))
}

function noticeOf({ notice, late_result: late }: Run): string {
  if (late === null) return notice ?? ''
  const code = late.exit_code === null ? '' : `, exit code ${late.exit_code}`
  const reason = late.reason === null ? '' : `, ${late.reason}`
  const told = `a result came too late and changes nothing: ${late.state}${reason}${code}`
  return notice === null ? told : `${notice}; ${told}`
}

function groupBy(runs: readonly Run[], keyOf: (run: Run) => unknown): { first: Run; runs: Run[] }[] {
  const groups = new Map<string, { first: Run; runs: Run[] }>()
  for (const run of runs) {
    const key = JSON.stringify(keyOf(run))
    const group = groups.get(key) ?? { first: run, runs: [] }
    group.runs.push(run)
    groups.set(key, group)
  }
  return [...groups.values()]
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
    exec_timeout_s: stored.exec_timeout_ms / 1_000,
    submitted_by: stored.owner,
    created_at: isoTime(stored.created),
    started_at: isoTime(stored.started),
    ended_at: isoTime(stored.ended),
    cancel_requested_at: isoTime(stored.cancel_requested),
    links: { self: path, runs: `${path}/runs`, output: `${path}/output`, events: `${path}/events` },
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
