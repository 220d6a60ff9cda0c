/** Reading runs: one by its host, some by their index, all by pages. */
import { isSafeToRetry, isTerminalRun, LateResult, Reason, Remote, type Run, RunMode, RunState } from '@muster/contract'
import { z } from 'zod'
import { ask, type Ledger } from './open-ledger.ts'
import { isoTime, readStoredJob, type StoredJob } from './stored-job.ts'

/** Runs fetched in one round trip; with a filter, also how many are looked at before a page is given back. */
const CHUNK = 500
/** Most runs that one filtered page looks at, so that no call is long. */
const SCAN_LIMIT = 5_000

const count = z.coerce.number().int().default(0)
const millis = z.coerce.number().optional()

/** A run as Redis holds it. Fields that do not apply are absent. */
const StoredRun = z.object({
  host: z.string(),
  state: RunState,
  remote: Remote,
  attempt: z.coerce.number().int(),
  mode: RunMode.optional(),
  notice: z.string().optional(),
  late_result: z.string().optional(),
  retry_at: millis,
  reason: Reason.optional(),
  detail: z.string().optional(),
  exit_code: z.coerce.number().int().optional(),
  signal: z.string().optional(),
  worker: z.string().optional(),
  queued: millis,
  connecting: millis,
  started: millis,
  ended: millis,
  connect_ms: millis,
  stdout: count,
  stderr: count,
  stdout_omitted: count,
  stderr_omitted: count,
  stdout_sha256: z.string().optional(),
  stderr_sha256: z.string().optional(),
  incomplete: z.string().optional(),
  digest: z.string().default(''),
})

/** A run with the digest of its output: equal digests, equal output. */
export type RunWithDigest = Run & { readonly digest: string }

/**
 * The run of a job on a host. Undefined when there is no such job, or the host is not in it.
 * @throws {MusterError} ledger_unavailable
 */
export async function findRun(ledger: Ledger, jobId: string, host: string): Promise<Run | undefined> {
  return (await findRunWithDigest(ledger, jobId, host))?.run
}

/** The same, and how the run is stored. */
export async function findRunWithDigest(ledger: Ledger, jobId: string, host: string) {
  const job = await readStoredJob(ledger, jobId)
  if (job === undefined) return undefined
  const index = await ask(ledger.redis, () => ledger.redis.lpos(ledger.keys.hosts(jobId), host), jobId)
  if (index === null) return undefined
  const [run] = await readRuns(ledger, jobId, job, [index])
  return run === undefined ? undefined : { run, index }
}

/**
 * A page of runs in the order of the frozen set. A filtered page may be short, even empty, and still have a
 * `next_cursor`: it then ended at the most runs one call looks at.
 * @throws {MusterError} ledger_unavailable
 */
export async function listRuns(
  ledger: Ledger,
  jobId: string,
  page: { state?: RunState | undefined; limit: number; cursor?: string | undefined },
): Promise<{ runs: Run[]; next_cursor: string | null } | undefined> {
  const job = await readStoredJob(ledger, jobId)
  if (job === undefined) return undefined
  const runs: Run[] = []
  const start = page.cursor === undefined ? 0 : z.coerce.number().int().min(0).catch(0).parse(page.cursor)
  const end = Math.min(job.total, start + SCAN_LIMIT)
  for (let index = start; index < end; index += CHUNK) {
    const chunk = await readRuns(ledger, jobId, job, range(index, Math.min(index + CHUNK, end)))
    for (const { digest: _digest, ...run } of chunk) {
      if (page.state !== undefined && run.state !== page.state) continue
      runs.push(run)
      if (runs.length === page.limit) return { runs, next_cursor: cursorAt(run.index + 1, job.total) }
    }
  }
  return { runs, next_cursor: cursorAt(end, job.total) }
}

/** The runs with these indexes, in one round trip. */
export async function readRuns(
  ledger: Ledger,
  jobId: string,
  job: StoredJob,
  indexes: readonly number[],
): Promise<RunWithDigest[]> {
  if (indexes.length === 0) return []
  const { redis, keys } = ledger
  const stored = await ask(redis, () =>
    Promise.all(indexes.map(async (index) => ({ index, fields: await redis.hgetall(keys.run(jobId, index)) }))),
  )
  const unreleased = stored.filter(({ fields }) => fields.state === undefined).map(({ index }) => index)
  const hosts = await readHosts(ledger, jobId, unreleased)
  return stored.map(({ index, fields }) =>
    fields.state === undefined
      ? unreleasedRun(jobId, index, hosts.get(index) ?? '', job)
      : toRun(jobId, index, StoredRun.parse(fields)),
  )
}

/** Names of hosts whose runs have no record yet. Indexes come in order, so one range holds them. */
async function readHosts(ledger: Ledger, jobId: string, indexes: readonly number[]): Promise<Map<number, string>> {
  const first = indexes[0]
  const last = indexes.at(-1)
  if (first === undefined || last === undefined) return new Map()
  const names = await ledger.redis.lrange(ledger.keys.hosts(jobId), first, last)
  return new Map(names.map((name, i) => [first + i, name]))
}

/** A run that was never released: pending, or ended with the rest of its job. */
function unreleasedRun(jobId: string, index: number, host: string, job: StoredJob): RunWithDigest {
  const hasEnded = job.rest_from !== undefined && index >= job.rest_from
  return toRun(jobId, index, {
    host,
    state: hasEnded ? (job.rest_state ?? 'cancelled') : 'pending',
    remote: 'not_started',
    attempt: 0,
    reason: hasEnded ? job.rest_reason : undefined,
    ended: hasEnded ? job.rest_at : undefined,
    stdout: 0,
    stderr: 0,
    stdout_omitted: 0,
    stderr_omitted: 0,
    digest: '',
  })
}

function toRun(jobId: string, index: number, run: z.infer<typeof StoredRun>): RunWithDigest {
  return {
    job_id: jobId,
    host: run.host,
    index,
    state: run.state,
    remote: run.remote,
    safe_to_retry: isTerminalRun(run.state) && isSafeToRetry(run.remote),
    reason: run.reason ?? null,
    detail: run.detail ?? null,
    exit_code: run.exit_code ?? null,
    signal: run.signal ?? null,
    attempt: run.attempt,
    retry_at: isoTime(run.retry_at),
    mode: run.mode ?? null,
    notice: run.notice ?? null,
    late_result: run.late_result === undefined ? null : LateResult.parse(JSON.parse(run.late_result)),
    worker: run.worker || null,
    queued_at: isoTime(run.queued),
    connecting_at: isoTime(run.connecting),
    started_at: isoTime(run.started),
    ended_at: isoTime(run.ended),
    connect_ms: run.connect_ms ?? null,
    duration_ms:
      run.started === undefined || run.ended === undefined || run.state === 'lost' ? null : run.ended - run.started,
    stdout: { bytes: run.stdout, omitted_bytes: run.stdout_omitted, sha256: run.stdout_sha256 ?? null },
    stderr: { bytes: run.stderr, omitted_bytes: run.stderr_omitted, sha256: run.stderr_sha256 ?? null },
    output_complete: run.incomplete === undefined && run.remote !== 'unknown',
    digest: run.digest,
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

function cursorAt(index: number, total: number): string | null {
  return index < total ? String(index) : null
}
