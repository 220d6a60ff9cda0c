/** Reading, awaiting and cancelling jobs. */
import { type Input, type JobReport, MusterError, type Output } from '@muster/contract'
import { cancelJob, listJobs, reportJob, waitForJob } from '@muster/ledger'
import type { Caller, OperationDeps } from './operations.ts'

/**
 * The report of a job, after waiting for its end or a change if that was asked for.
 * @throws {MusterError} not_found
 */
export async function getJob(
  deps: OperationDeps,
  input: Input<'get_job'> | Input<'wait_job'>,
  caller: Caller,
): Promise<JobReport> {
  const { job_id: jobId, wait_s: waitS, until } = input
  await waitForJob(deps.ledger, jobId, { until, waitMs: waitS * 1_000, signal: caller.signal })
  return reportOf(deps, jobId)
}

/** A page of jobs, newest first. */
export async function listAllJobs(deps: OperationDeps, input: Input<'list_jobs'>): Promise<Output<'list_jobs'>> {
  return listJobs(deps.ledger, input)
}

/**
 * Cancels a job and reports it. Runs that a worker holds end a little later.
 * @throws {MusterError} not_found
 */
export async function requestCancel(
  deps: OperationDeps,
  { job_id: jobId }: Input<'cancel_job'>,
  caller: Caller,
): Promise<JobReport> {
  if (!(await cancelJob(deps.ledger, jobId))) throw noSuchJob(jobId)
  deps.logger.info({ job_id: jobId, key_id: caller.keyId }, 'job cancelled on request')
  return reportOf(deps, jobId)
}

/**
 * The report of a job as it is now.
 * @throws {MusterError} not_found
 */
export async function reportOf(deps: OperationDeps, jobId: string): Promise<JobReport> {
  const report = await reportJob(deps.ledger, jobId)
  if (report === undefined) throw noSuchJob(jobId)
  return report
}

/** The fault for a job ID that names nothing. */
export function noSuchJob(jobId: string): MusterError {
  return new MusterError('not_found', `there is no job ${jobId}`, { details: { field: 'job_id', job_id: jobId } })
}
