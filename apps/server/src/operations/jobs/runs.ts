/** Reading the runs of a job. */
import { type Input, MusterError, type Output, type Run } from '@muster/contract'
import { findJob, findRun, listRuns } from '@muster/ledger'
import { quoted } from '../../text/quoted.ts'
import type { OperationDeps } from '../operations.ts'
import { noSuchJob } from './jobs.ts'

/**
 * A page of the runs of a job.
 * @throws {MusterError} not_found
 */
export async function listRunsOf(deps: OperationDeps, input: Input<'list_runs'>): Promise<Output<'list_runs'>> {
  const page = await listRuns(deps.ledger, input.job_id, input)
  if (page === undefined) throw noSuchJob(input.job_id)
  return page
}

/**
 * The run of a job on a host.
 * @throws {MusterError} not_found
 */
export async function getRun(deps: OperationDeps, { job_id: jobId, host }: Input<'get_run'>): Promise<Run> {
  const run = await findRun(deps.ledger, jobId, host)
  if (run === undefined) throw await noSuchRun(deps, jobId, host)
  return run
}

/** An input that names a host of a job, with the name of that host in place of an alias of it. */
export async function withHostOfJob<Named extends { job_id: string; host?: string | undefined }>(
  { inventory, ledger }: OperationDeps,
  input: Named,
): Promise<Named> {
  const { job_id: jobId, host } = input
  const known = host === undefined ? undefined : inventory.current().find(host)
  if (host === undefined || known === undefined || known.name === host) return input
  // A job keeps the names that its hosts had when it was submitted.
  return (await findRun(ledger, jobId, host)) === undefined ? { ...input, host: known.name } : input
}

/** The fault for a run that is not there: because of the job, or because of the host. */
export async function noSuchRun(deps: OperationDeps, jobId: string, host: string): Promise<MusterError> {
  const job = await findJob(deps.ledger, jobId)
  if (job === undefined) return noSuchJob(jobId)
  const message = `job ${jobId} has no host "${host}"; its targets are ${quoted(job.targets, 200)}`
  return new MusterError('not_found', message, { details: { field: 'host', job_id: jobId } })
}
