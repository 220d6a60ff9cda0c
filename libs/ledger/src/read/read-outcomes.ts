/** Reads how all runs of a job stand: the few fields of each that gathering and looking need, in parts. */
import { isTerminalRun, type Run } from '@muster/contract'
import { z } from 'zod'
import type { StoredJob } from '../job/stored-job.ts'
import { readStoredRun } from '../job/stored-run.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { inTurns, range, readAll } from './read-in-turns.ts'
import { barredDetail, unreleasedRun } from './read-run.ts'

/** Runs read in one round trip. */
const CHUNK = 200

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
  'state',
  'remote',
  'reason',
  'detail',
  'exit_code',
  'signal',
  'stdout',
  'stderr',
  'stdout_omitted',
  'stderr_omitted',
  'incomplete',
  'digest',
  'connect_ms',
  'barred_kind',
  'barred_until',
] as const

const Stored = z.array(z.string().nullable())
const Names = z.array(z.string())

/**
 * Yields all runs in the order of the frozen set.
 * @throws {MusterError} ledger_unavailable
 */
export function readOutcomes(ledger: Ledger, jobId: string, job: StoredJob): AsyncGenerator<Outcome> {
  const { keys } = ledger
  return inTurns(range(0, job.total), CHUNK, async (indexes) => {
    const [names, ...runs] = await readAll(ledger, [
      ['lrange', keys.hosts(jobId), indexes[0] ?? 0, indexes.at(-1) ?? 0],
      ...indexes.map((index) => ['hmget', keys.run(jobId, index), ...FIELDS]),
    ])
    const hosts = Names.parse(names)
    return indexes.map((index, i) => toOutcome(index, hosts[i] ?? '', runs[i], job))
  })
}

function toOutcome(index: number, host: string, answer: unknown, job: StoredJob): Outcome {
  const values = Stored.parse(answer)
  const fields = Object.fromEntries(FIELDS.flatMap((name, i) => (values[i] == null ? [] : [[name, values[i]]])))
  const isThere = Object.keys(fields).length > 0
  const run = isThere ? readStoredRun(fields) : unreleasedRun(index, job)
  return {
    host,
    index,
    state: run.state,
    reason: run.reason ?? null,
    detail: run.detail ?? barredDetail(run),
    exit_code: run.exit_code ?? null,
    signal: run.signal ?? null,
    remote: run.remote,
    output_complete: run.incomplete === undefined && run.remote !== 'unknown',
    hasEnded: isTerminalRun(run.state),
    connect_ms: run.connect_ms ?? null,
    bytes: { stdout: run.stdout, stderr: run.stderr },
    isKept: run.stdout_omitted + run.stderr_omitted === 0,
    digest: run.digest,
  }
}
