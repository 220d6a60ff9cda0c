/** The refusals of calls that name an unknown job, or a host that is not in the job. */
import { MusterError } from '@muster/contract'
import { findJob, type Ledger } from '@muster/ledger'
import { quoted } from '../../text/quoted.ts'

/** The refusal for an unknown job ID. */
export function noSuchJob(jobId: string): MusterError {
  return new MusterError('not_found', `there is no job ${jobId}`, { details: { field: 'job_id', job_id: jobId } })
}

/** The refusal for a run that does not exist. It says whether the job or the host is unknown. */
export async function noSuchRun(ledger: Ledger, jobId: string, host: string): Promise<MusterError> {
  const job = await findJob(ledger, jobId)
  if (job === undefined) return noSuchJob(jobId)
  const message = `job ${jobId} has no host "${host}"; its targets are ${quoted(job.targets ?? '', 200)}`
  return new MusterError('not_found', message, { details: { field: 'host', job_id: jobId } })
}
