/** Reading jobs: one with its counts, one with what went wrong in it, all of them newest first. */
import {
  type Batch,
  Counts,
  foldHosts,
  type HostsByState,
  Job,
  JobId,
  type JobReport,
  JobSpec,
  RolloutOptions,
  type Run,
  RunState,
  Selection,
  shellWord,
} from '@muster/contract'
import { byCause } from '../job/causes.ts'
import { readBeginning } from '../job/job-texts.ts'
import { batchCount, isErrorState } from '../job/rollout.ts'
import { isoTime, orDamaged, StoredJob } from '../job/stored-job.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { readNotices } from './job-notices.ts'
import { readRuns } from './read-run.ts'

/** Most hosts with problems that a report names; all of them are listed with the runs. */
const PROBLEMS_LIMIT = 200
/** Most reruns that a report names. */
const RERUNS_LIMIT = 100
/** Longest command text a report shows. */
const COMMAND_LIMIT_CHARS = 2_000

/**
 * A job with its counts. Undefined when there is no such job.
 * @throws {MusterError} job_damaged; ledger_unavailable
 */
export async function findJob(ledger: Ledger, jobId: string): Promise<Job | undefined> {
  const fields = await ask(ledger.redis, () => ledger.redis.hgetall(ledger.keys.job(jobId)), jobId)
  return fields.state === undefined ? undefined : await orDamaged(jobId, () => toJob(jobId, fields))
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
 * A job, its command, and what went wrong in it so far, hosts folded by state and reason.
 * @throws {MusterError} job_damaged; ledger_unavailable
 */
export function reportJob(ledger: Ledger, jobId: string): Promise<JobReport | undefined> {
  return orDamaged(jobId, () => readReport(ledger, jobId))
}

async function readReport(ledger: Ledger, jobId: string): Promise<JobReport | undefined> {
  const { redis, keys } = ledger
  const fields = await ask(redis, () => redis.hgetall(keys.job(jobId)), jobId)
  if (fields.state === undefined) return undefined
  const stored = StoredJob.parse(fields)
  const first = (key: string) => redis.lrange(key, 0, PROBLEMS_LIMIT - 1)
  const [errors, others, wrong] = await ask(redis, () =>
    Promise.all([first(keys.errors(jobId)), first(keys.wrong(jobId)), redis.llen(keys.wrong(jobId))]),
  )
  // What was skipped or cancelled, however many, must not hide what failed.
  const indexes = [...new Set([...errors, ...others])]
  const runs = await readRuns(ledger, jobId, stored, indexes.map(Number))
  const rest = await readRest(ledger, jobId, stored)
  const spec = JobSpec.parse(JSON.parse(stored.spec))
  return {
    ...toJob(jobId, fields),
    command: await commandText(ledger, jobId, spec),
    arguments: spec.script_args?.length ? shorten(wordsText(spec.script_args)) : null,
    options: optionsOf(spec),
    // They come in the order in which they ended; names fold best in that of the set.
    problems: groupByState([...runs, ...rest].sort((a, b) => a.index - b.index)),
    problems_omitted: wrong - runs.length + stored.rest_count - rest.length,
    notices: await readNotices(ledger, jobId, stored),
    tripped_by: await readTrippedBy(ledger, jobId, stored),
    reruns: JobId.array().parse(await ask(redis, () => redis.lrange(keys.reruns(jobId), 0, RERUNS_LIMIT - 1))),
  }
}

/** The hosts whose errors spent the budget, all of them. */
async function readTrippedBy({ redis, keys }: Ledger, jobId: string, job: StoredJob): Promise<string | null> {
  const { tripped_at: count } = job
  if (count === undefined) return null
  const [indexes, hosts] = await ask(redis, () =>
    Promise.all([redis.lrange(keys.errors(jobId), 0, count - 1), redis.lrange(keys.hosts(jobId), 0, -1)]),
  )
  return foldHosts(indexes.map((index) => hosts[Number(index)] ?? ''))
}

/** The first of the runs that ended without ever having been released. Those that ended before by themselves are not. */
async function readRest(ledger: Ledger, jobId: string, job: StoredJob): Promise<Run[]> {
  const { rest_from: from, total } = job
  if (from === undefined) return []
  const indexes = Array.from({ length: Math.min(PROBLEMS_LIMIT, total - from) }, (_, i) => from + i)
  const runs = await readRuns(ledger, jobId, job, indexes)
  return runs.filter((run) => run.queued_at === null && run.ended_at === isoTime(job.rest_at))
}

/** What is told of a run by its state alone. */
type StateOfRun = Pick<Run, 'host' | 'state' | 'reason' | 'exit_code' | 'remote' | 'detail'>

/** Runs without output, folded: those that ended alike, and by the same cause, are one row. */
function groupByState(runs: readonly StateOfRun[]): HostsByState[] {
  const collected = collectByState()
  for (const run of runs) collected.add(run)
  return collected.rows()
}

/** The same, one run after the other. */
export function collectByState(): { add(run: StateOfRun): void; rows(): HostsByState[] } {
  const groups = new Map<string, [StateOfRun, ...StateOfRun[]]>()
  return {
    add: (run) => {
      const key = JSON.stringify([run.state, run.reason, run.exit_code, run.remote])
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [run])
      else group.push(run)
    },
    rows: () =>
      [...groups.values()]
        .flatMap((group) => byCause(group).map((cause) => ({ ...cause, first: group[0] })))
        .sort((a, b) => b.runs.length - a.runs.length)
        .map(({ first: { state, reason, exit_code }, runs, detail }) => ({
          ...{ state, reason, exit_code, detail },
          hosts: foldHosts(runs.map(({ host }) => host)),
          count: runs.length,
        })),
  }
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

/** A script that is not with the other options is a large one. */
async function commandText(ledger: Ledger, jobId: string, { command, argv, script }: JobSpec): Promise<string> {
  const text = command ?? script ?? (argv === undefined ? undefined : wordsText(argv))
  return shorten(text ?? (await readBeginning(ledger, jobId, { name: 'script', bytes: 4 * COMMAND_LIMIT_CHARS })))
}

function wordsText(words: readonly string[]): string {
  return words.map(shellWord).join(' ')
}

function optionsOf(spec: JobSpec): RolloutOptions {
  const { health_check: check, ...options } = RolloutOptions.parse(spec)
  return check === undefined ? options : { ...options, health_check: { ...check, command: shorten(check.command) } }
}

function shorten(text: string): string {
  return text.length <= COMMAND_LIMIT_CHARS ? text : `${text.slice(0, COMMAND_LIMIT_CHARS)}…`
}
