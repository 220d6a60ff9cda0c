/** Reads what a rerun needs: the command and options of a job, and those of its hosts that ended in certain states. */
import { foldHosts, type Input, type TerminalRunState } from '@muster/contract'
import { readSpec } from '../job/job-texts.ts'
import { requireSignedRecord } from '../job/signed-record.ts'
import { type CheckWork, type JobRecord, readSignedFields } from '../job/signed-work.ts'
import { readStoredJob } from '../job/stored-job.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { readOutcomes } from './read-outcomes.ts'

/** A job to run again. */
export type Rerun = {
  /** The same command with the same options, without secrets. */
  readonly request: Omit<Input<'submit_job'>, 'idempotency_key' | 'wait_s'>
  /** The hosts whose run ended in one of the states, in their order; there may be none. */
  readonly hosts: string[]
  /** The names of the secrets that the job had. */
  readonly secretNames: readonly string[]
  /** The job that keeps them sealed. Undefined: nobody does. */
  readonly secretsKeptBy: string | undefined
}

/**
 * What a rerun needs. Undefined when there is no such job.
 * @param check asked whether all of it is what a server has signed; undefined: Redis is believed
 * @throws {MusterError} signature_invalid when it is not; ledger_unavailable
 */
export async function readRerun(
  ledger: Ledger,
  jobId: string,
  states: readonly TerminalRunState[],
  check?: CheckWork,
): Promise<Rerun | undefined> {
  const job = await readStoredJob(ledger, jobId)
  if (job === undefined) return undefined
  const all: string[] = []
  const hosts: string[] = []
  const wanted: ReadonlySet<string> = new Set(states)
  for await (const { host, state } of readOutcomes(ledger, jobId, job)) {
    all.push(host)
    if (wanted.has(state)) hosts.push(host)
  }
  const read = await readSpec(ledger, jobId)
  if (read === undefined) return undefined
  const fields =
    check === undefined
      ? await readSignedFields(ledger, jobId, [])
      : await requireSignedRecord(ledger, check, jobId, { texts: read.texts, hosts: all })
  const { secrets: secretNames = [], ...spec } = read.spec
  const request = { ...spec, title: job.title, targets: foldHosts(hosts), order: 'given', keep_secrets: false } as const
  return { request, hosts, secretNames, secretsKeptBy: keeperOf(jobId, fields) }
}

/** Whoever runs a job again may run that one again, too: the secrets stay with the first. */
function keeperOf(
  jobId: string,
  { secrets_of: keptBy, keep_secrets: isKept }: JobRecord['fields'],
): string | undefined {
  return keptBy ?? (isKept === undefined ? undefined : jobId)
}
