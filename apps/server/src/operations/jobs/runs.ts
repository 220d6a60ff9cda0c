/** Reads the runs of a job. */
import type { Input, Output, Run } from '@muster/contract'
import { findRun, type Ledger, listRuns } from '@muster/ledger'
import { noSuchJob, noSuchRun } from '../call/not-found.ts'
import type { OperationDeps } from '../call/operation.ts'

/**
 * Returns a page of the runs of a job.
 * @throws {MusterError} not_found
 */
export async function listRunsOf(ledger: Ledger, input: Input<'list_runs'>): Promise<Output<'list_runs'>> {
  const page = await listRuns(ledger, input.job_id, input)
  if (page === undefined) throw noSuchJob(input.job_id)
  return page
}

/**
 * Returns the run of a job on a host.
 * @throws {MusterError} not_found
 */
export async function getRun(ledger: Ledger, { job_id: jobId, host }: Input<'get_run'>): Promise<Run> {
  const run = await findRun(ledger, jobId, host)
  if (run === undefined) throw await noSuchRun(ledger, jobId, host)
  return run
}

/** The same input, with an alias of a host replaced by the name that the host has in the job. */
export async function withHostOfJob<Named extends { job_id: string; host?: string | undefined }>(
  { inventory, ledger }: Pick<OperationDeps, 'inventory' | 'ledger'>,
  input: Named,
): Promise<Named> {
  const { job_id: jobId, host } = input
  const known = host === undefined ? undefined : inventory.current().find(host)
  if (host === undefined || known === undefined || known.name === host) return input
  // A job keeps the names that its hosts had when it was submitted.
  return (await findRun(ledger, jobId, host)) === undefined ? { ...input, host: known.name } : input
}
