/** The refusals of calls that name a job, or a host of a job, that there is not. */
import { MusterError } from '@muster/contract'
import { findJob, type Ledger } from '@muster/ledger'
import { quoted } from '../../text/quoted.ts'

/** The refusal for a job ID that names nothing. */
export function noSuchJob(jobId: string): MusterError {
  return new MusterError('not_found', `there is no job ${jobId}`, { details: { field: 'job_id', job_id: jobId } })
}

/** The refusal for a run that does not exist: because of the job, or because of the host. */
export async function noSuchRun(ledger: Ledger, jobId: string, host: string): Promise<MusterError> {
  const job = await findJob(ledger, jobId)
  if (job === undefined) return noSuchJob(jobId)
  const message = `job ${jobId} has no host "${host}"; its targets are ${quoted(job.targets, 200)}`
  return new MusterError('not_found', message, { details: { field: 'host', job_id: jobId } })
}
