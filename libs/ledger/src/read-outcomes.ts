/** How all runs of a job stand, as far as gathering and looking need it: a few fields of each, read in parts. */
import { isTerminalRun, Reason, Remote, type Run, RunState } from '@muster/contract'
import { z } from 'zod'
import type { Ledger } from './open-ledger.ts'
import { inTurns, range, readAll } from './read-in-turns.ts'
import { unreleasedEnd } from './read-run.ts'
import type { StoredJob } from './stored-job.ts'

/** Runs read in one round trip. */
const CHUNK = 200

/** How a run stands, and what tells its output from that of others. */
export type Outcome = Pick<
  Run,
  'host' | 'index' | 'state' | 'reason' | 'detail' | 'exit_code' | 'signal' | 'remote' | 'output_complete'
> & {
  readonly hasEnded: boolean
  readonly bytes: { readonly stdout: number; readonly stderr: number }
  /** How long reaching the host took. Null where it was not reached. */
  readonly connect_ms: number | null
  /** Whether every byte of both streams was kept. */
  readonly isKept: boolean
  /** Equal digests, equal output. "" when nobody has seen all of it. */
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
] as const

const Text = z.string().nullable()
const Count = z.coerce.number().int()
const Stored = z.tuple([
  RunState.nullable(),
  Remote.nullable(),
  Reason.nullable(),
  Text,
  Text,
  Text,
  Count,
  Count,
  Count,
  Count,
  Text,
  Text,
  Text,
])
const Names = z.array(z.string())

/**
 * All runs, in the order of the frozen set.
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

function toOutcome(index: number, host: string, stored: unknown, job: StoredJob): Outcome {
  const [given, remote, reason, detail, exitCode, signal, ...ofOutput] = Stored.parse(stored)
  const [stdout, stderr, noStdout, noStderr, incomplete, digest, connectMs] = ofOutput
  const end = given === null ? unreleasedEnd(index, job) : { state: given, reason }
  return {
    host,
    index,
    state: end.state,
    reason: end.reason ?? null,
    detail,
    exit_code: exitCode === null ? null : Number(exitCode),
    signal,
    remote: remote ?? 'not_started',
    output_complete: incomplete === null && remote !== 'unknown',
    hasEnded: isTerminalRun(end.state),
    connect_ms: connectMs === null ? null : Number(connectMs),
    bytes: { stdout, stderr },
    isKept: noStdout + noStderr === 0,
    digest: digest ?? '',
  }
}
