/** Reads runs: one by its host, or some by their indexes. list-runs.ts makes pages of them. */
import {
  isSafeToRetry,
  isTerminalRun,
  type LateResult,
  type Reason,
  type Run,
  type RunState,
  UNLESS_FORCED,
} from '@muster/contract'
import { z } from 'zod'
import { freshVouch, type Vouch, type VouchedRun } from '../job/signed-end.ts'
import { isoTime, readStoredJob, type StoredJob } from '../job/stored-job.ts'
import { readStoredRun, type StoredRun } from '../job/stored-run.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { holderText, readHolders } from './holders.ts'
import { readAll } from './read-in-turns.ts'

const Hash = z.record(z.string(), z.string())
const Names = z.array(z.string())

const WAITS = 'waits until other runs on this machine have ended'

/** SHA-256 of a stream without bytes. */
const SHA256_OF_NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/**
 * A run with the digest of its output, which is equal for equal output, and with the state in its record, which differs
 * from `state` when the record cannot be read.
 */
export type RunWithDigest = Run & { readonly digest: string; readonly storedState: string }

/**
 * Returns the run of a job on a host. Undefined when there is no such job, or the host is not in it.
 * @throws {MusterError} ledger_unavailable
 */
export async function findRun(ledger: Ledger, jobId: string, host: string): Promise<Run | undefined> {
  const found = await findRunWithDigest(ledger, jobId, host)
  if (found === undefined) return undefined
  const { digest: _digest, storedState: _storedState, ...run } = found.run
  return run
}

/** The same, with the digest and the index of the run. */
export async function findRunWithDigest(ledger: Ledger, jobId: string, host: string) {
  const job = await readStoredJob(ledger, jobId)
  if (job === undefined) return undefined
  const index = await ask(ledger.redis, () => ledger.redis.lpos(ledger.keys.hosts(jobId), host), jobId)
  if (index === null) return undefined
  // The host by which the run was found is the one that its end must be of, whatever the record says.
  const [run] = await readRuns(ledger, jobId, job, [index], [host])
  return run === undefined ? undefined : { run, index }
}

/**
 * Returns the runs with these indexes, in one round trip. Others read the hosts of damaged or unreleased runs, and who
 * holds the machines that runs wait for. `names` are the hosts, where they are known; else the records name them.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRuns(
  ledger: Ledger,
  jobId: string,
  job: StoredJob,
  indexes: readonly number[],
  names: readonly string[] = [],
): Promise<RunWithDigest[]> {
  const answers = await readAll(
    ledger,
    indexes.map((index) => ['hgetall', ledger.keys.run(jobId, index)]),
  )
  const stored = indexes.map((index, i) => {
    const fields = Hash.parse(answers[i])
    return { index, fields, host: names[i] ?? fields.host }
  })
  const nameless = stored.filter(({ host }) => host === undefined).map(({ index }) => index)
  const hosts = await readHosts(ledger, jobId, nameless)
  const waiting = stored.filter(({ fields }) => fields.state === 'queued' && fields.waits !== undefined)
  const holders = await readHolders(
    ledger,
    jobId,
    waiting.map(({ index }) => index),
  )
  const vouch = await freshVouch(ledger)
  return stored.map(({ index, fields, host = hosts.get(index) ?? '' }) => {
    const run = runOf(vouch, jobId, job, { index, fields, host })
    const holder = holders.get(index)
    return holder === undefined ? run : { ...run, detail: `${WAITS}: ${holderText(holder)}` }
  })
}

/** The record of a run, as Redis has it, and the host that it is of. */
type RunRecord = {
  readonly index: number
  readonly fields: Readonly<Record<string, string>>
  readonly host: string
}

/** A run by its record. An empty record is that of a run that was never released. */
export function runOf(vouch: Vouch, jobId: string, job: StoredJob, record: RunRecord): RunWithDigest {
  const run = readEnd(vouch, jobId, job, record)
  const isUnverified = run.reason === 'end_unverified'
  const storedState = isUnverified ? run.state : (record.fields.state ?? run.state)
  return { ...toRun(jobId, record.index, record.host, run), storedState }
}

/** What the record of a run says, as far as somebody vouches for it. Every answer about a run begins here. */
export function readEnd(vouch: Vouch, jobId: string, job: StoredJob, { index, fields, host }: RunRecord): VouchedRun {
  const isThere = Object.keys(fields).length > 0
  const run = isThere ? readStoredRun(fields) : unreleasedRun(index, job)
  return vouch({ jobId, index, host, total: job.total }, fields, run)
}

/** The hosts of runs that do not name theirs, by index. */
async function readHosts(ledger: Ledger, jobId: string, indexes: readonly number[]): Promise<Map<number, string>> {
  const list = ledger.keys.hosts(jobId)
  const names = await readAll(
    ledger,
    spansOf(indexes).map(({ first, last }) => ['lrange', list, first, last]),
  )
  return new Map(
    spansOf(indexes).flatMap(({ first }, i) =>
      Names.parse(names[i]).map((name, n): [number, string] => [first + n, name]),
    ),
  )
}

/** Joins indexes that follow one another, because a list is read from one index to another. */
function spansOf(indexes: readonly number[]): { first: number; last: number }[] {
  const spans: { first: number; last: number }[] = []
  for (const index of indexes) {
    const span = spans.at(-1)
    if (span !== undefined && index === span.last + 1) span.last = index
    else spans.push({ first: index, last: index })
  }
  return spans
}

/** How a run stands that was never released: it is pending, or ended with the rest of its job. */
export function unreleasedEnd(
  index: number,
  job: StoredJob,
): { state: RunState; reason: Reason | undefined; ended: number | undefined } {
  const hasEnded = job.rest_from !== undefined && index >= job.rest_from
  if (!hasEnded) return { state: 'pending', reason: undefined, ended: undefined }
  return { state: job.rest_state ?? 'cancelled', reason: job.rest_reason, ended: job.rest_at }
}

/** The record that a run which was never released would have. */
function unreleasedRun(index: number, job: StoredJob): StoredRun {
  const nothing = { stdout: 0, stderr: 0, stdout_omitted: 0, stderr_omitted: 0, digest: '' }
  return { remote: 'not_started', attempt: 0, ...unreleasedEnd(index, job), ...nothing }
}

function toRun(jobId: string, index: number, host: string, run: VouchedRun): Omit<RunWithDigest, 'storedState'> {
  return {
    job_id: jobId,
    host,
    index,
    state: run.state,
    remote: run.remote,
    safe_to_retry: isTerminalRun(run.state) && isSafeToRetry(run.remote),
    reason: run.reason ?? null,
    vouched_by: run.vouchedBy,
    detail: run.detail ?? waitingDetail(run),
    exit_code: run.exit_code ?? null,
    signal: run.signal ?? null,
    attempt: run.attempt,
    retry_at: isoTime(run.retry_at),
    mode: run.mode ?? (run.started === undefined ? null : 'attached'),
    notice: run.notice ?? null,
    late_result: lateOf(run),
    worker: run.worker || null,
    queued_at: isoTime(run.queued),
    connecting_at: isoTime(run.connecting),
    started_at: isoTime(run.started),
    ended_at: isoTime(run.ended),
    connect_ms: run.connect_ms ?? null,
    reached: run.reached ?? null,
    duration_ms:
      run.started === undefined || run.ended === undefined || run.state === 'lost'
        ? null
        : Math.max(0, run.ended - run.started),
    stdout: {
      bytes: run.stdout,
      omitted_bytes: run.stdout_omitted,
      sha256: run.stdout_sha256 ?? emptySha256(run, run.stdout),
    },
    stderr: {
      bytes: run.stderr,
      omitted_bytes: run.stderr_omitted,
      sha256: run.stderr_sha256 ?? emptySha256(run, run.stderr),
    },
    output_complete: isOutputComplete(run),
    digest: run.digest,
  }
}

function lateOf({ late_result: late }: StoredRun): LateResult | null {
  if (late === undefined) return null
  const { signed: _signed, ...shown } = late
  return shown
}

/** Whether all that the command printed is known. */
export function isOutputComplete({ incomplete, missing, remote }: StoredRun): boolean {
  return incomplete === undefined && missing === undefined && remote !== 'unknown'
}

/** Why a run waits, or was not tried, in words. Null when there is nothing to add. */
function waitingDetail(run: StoredRun): string | null {
  if (run.state === 'queued' && run.waits !== undefined) return WAITS
  return barredDetail(run)
}

/** Why a host was not tried, until when, and how to try it anyway. Null for a run that was not barred. */
export function barredDetail({ state, barred_kind: kind, barred_until: until }: StoredRun): string | null {
  if (state !== 'skipped' || until === undefined) return null
  const what =
    kind === 'auth' ? 'it refused several log-ins in a row' : 'it could not be reached several times in a row'
  const test = kind === 'auth' ? '' : '; a test of the connection tries it at once'
  return `${what}, and is not tried before ${isoTime(until)} ${UNLESS_FORCED.asField}${test}`
}

/** The digest of a stream that ended empty; it is not stored. */
function emptySha256({ digest }: { digest: string }, bytes: number): string | null {
  return digest !== '' && bytes === 0 ? SHA256_OF_NOTHING : null
}
