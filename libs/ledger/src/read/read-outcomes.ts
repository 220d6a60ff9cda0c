/** Reads how all runs of a job stand: the few fields of each that gathering and looking need, in parts. */
import { isTerminalRun, MusterError, type Run } from '@muster/contract'
import { z } from 'zod'
import { freshVouch, SIGNED_END_FIELDS } from '../job/signed-end.ts'
import type { StoredJob } from '../job/stored-job.ts'
import type { StoredRun } from '../job/stored-run.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { inTurns, range, readAll } from './read-in-turns.ts'
import { barredDetail, isOutputComplete, readEnd } from './read-run.ts'

/** Runs read in one round trip, and checked in one turn. */
const CHUNK = 100

/** How a run stands or ended, and what tells its output from that of others. */
export type Outcome = Pick<
  Run,
  'host' | 'index' | 'state' | 'reason' | 'detail' | 'exit_code' | 'signal' | 'remote' | 'output_complete'
> & {
  readonly hasEnded: boolean
  readonly bytes: { readonly stdout: number; readonly stderr: number }
  /** Milliseconds that reaching the host took. Null when it was not reached. */
  readonly connect_ms: number | null
  /** Whether every byte of both streams is stored. */
  readonly isKept: boolean
  /** Equal for equal output. "" when nobody has seen all of the output. */
  readonly digest: string
}

const FIELDS = [
  ...SIGNED_END_FIELDS,
  'stdout_omitted',
  'stderr_omitted',
  'missing',
  'connect_ms',
  'barred_kind',
  'barred_until',
] as const

const Stored = z.array(z.string().nullable())
const Names = z.array(z.string())

/**
 * Yields all runs in the order of the frozen set, or the first `count` of them.
 * @throws {MusterError} job_damaged when that has fewer hosts than the job says; ledger_unavailable
 */
export function readOutcomes(
  ledger: Ledger,
  jobId: string,
  job: StoredJob,
  count = job.total,
): AsyncGenerator<Outcome> {
  const { keys } = ledger
  return inTurns(range(0, count), CHUNK, async (indexes) => {
    const [names, ...runs] = await readAll(ledger, [
      ['lrange', keys.hosts(jobId), indexes[0] ?? 0, indexes.at(-1) ?? 0],
      ...indexes.map((index) => ['hmget', keys.run(jobId, index), ...FIELDS]),
    ])
    const hosts = Names.parse(names)
    if (hosts.length < indexes.length) throw fewerHosts(jobId, job)
    const vouch = await freshVouch(ledger)
    return indexes.map((index, i) => {
      const fields = fieldsOf(runs[i])
      const host = hosts[i] ?? ''
      return toOutcome(index, host, readEnd(vouch, jobId, job, { index, fields, host }))
    })
  })
}

/** Else a record that says a million would be read a million times. */
function fewerHosts(jobId: string, { total }: StoredJob): MusterError {
  const message = `the record of job ${jobId} in Redis says ${total} hosts, and its list has fewer`
  return new MusterError('job_damaged', message, { details: { job_id: jobId } })
}

/** The fields that are there. */
function fieldsOf(answer: unknown): Record<string, string> {
  const values = Stored.parse(answer)
  const fields: Record<string, string> = {}
  for (const [i, name] of FIELDS.entries()) {
    const value = values[i]
    if (value != null) fields[name] = value
  }
  return fields
}

function toOutcome(index: number, host: string, run: StoredRun): Outcome {
  return {
    host,
    index,
    state: run.state,
    reason: run.reason ?? null,
    detail: run.detail ?? barredDetail(run),
    exit_code: run.exit_code ?? null,
    signal: run.signal ?? null,
    remote: run.remote,
    output_complete: isOutputComplete(run),
    hasEnded: isTerminalRun(run.state),
    connect_ms: run.connect_ms ?? null,
    bytes: { stdout: run.stdout, stderr: run.stderr },
    isKept: run.stdout_omitted + run.stderr_omitted === 0,
    digest: run.digest,
  }
}
