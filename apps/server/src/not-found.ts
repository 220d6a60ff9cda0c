/** What is said of a job or run that is not there; for a job of somebody else, the same will be said. */
import { MusterError } from '@muster/contract'

/** @throws {MusterError} not_found, always */
export function noSuchJob(jobId: string): never {
  throw new MusterError('not_found', `there is no job ${jobId}`, { details: { job_id: jobId } })
}

/** @throws {MusterError} not_found, always */
export function noSuchRun(jobId: string, host: string): never {
  throw new MusterError('not_found', `there is no job ${jobId} with a host ${host}`, { details: { job_id: jobId } })
}
