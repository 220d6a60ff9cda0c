/** Reads jobs, waits for them, cancels them in whole or in part, resumes them and changes their limits. */
import { requireScope } from '@muster/access'
import { type Input, isUnlimited, type JobReport, MusterError, type Output } from '@muster/contract'
import {
  cancelJob,
  extendJob,
  hostsOfJob,
  isSignedFor,
  type Ledger,
  listJobs,
  readSpec,
  reportJob,
  requireSignedRecord,
  resumeJob,
  type SignWork,
  setConcurrency,
  waitForJob,
} from '@muster/ledger'
import { noSuchJob } from '../call/not-found.ts'
import type { Caller, OperationDeps } from '../call/operation.ts'
import { resolveField } from '../hosts/select-hosts.ts'
import { requireAllowed, requireConcurrency, requireExecTimeout } from './key-limits.ts'

/**
 * Reports a job, after waiting for its end or a change if the call asks for that.
 * @throws {MusterError} not_found
 */
export async function getJob(ledger: Ledger, input: Input<'get_job'>, caller: Caller): Promise<JobReport> {
  return reportAfterWait(ledger, input.job_id, input, caller)
}

/**
 * Waits for a job as its caller asked, at most `wait_s` seconds, and reports it as it is then.
 * @throws {MusterError} not_found
 */
export async function reportAfterWait(
  ledger: Ledger,
  jobId: string,
  {
    wait_s: waitS,
    until = 'done',
    after,
  }: { wait_s: number; until?: 'done' | 'any_change'; after?: number | undefined },
  { endsWaitAtPause = false, signal, onWait }: Caller,
): Promise<JobReport> {
  const waitMs = waitS * 1_000
  if (waitMs > 0) onWait?.(jobId, waitMs)
  const waited = until === 'done' && endsWaitAtPause ? 'done_or_paused' : until
  await waitForJob(ledger, jobId, { until: waited, after, waitMs, signal })
  return reportOf(ledger, jobId)
}

/**
 * Lists the jobs that the caller may see, a page at a time, newest first.
 * @throws {MusterError} insufficient_scope if the caller may not see jobs of that owner, whether the owner exists or
 *   not
 */
export async function listJobsFor(
  ledger: Ledger,
  input: Input<'list_jobs'>,
  caller: Caller,
): Promise<Output<'list_jobs'>> {
  const seesAll = caller.scopes.has('jobs:all')
  const owner = input.owner ?? (seesAll ? undefined : caller.owner)
  if (owner !== caller.owner) requireScope(caller, 'jobs:all', 'listing the jobs of another owner')
  return listJobs(ledger, { ...input, owner })
}

/**
 * Cancels a job, or its runs on the hosts that `targets` selects, and reports it. Runs that a worker holds end a little
 * later.
 * @throws {MusterError} not_found, invalid_target, unknown_target, no_targets; then nothing is cancelled
 */
export async function requestCancel(
  { ledger, inventory, logger }: OperationDeps,
  { job_id: jobId, targets }: Input<'cancel_job'>,
  caller: Caller,
): Promise<JobReport> {
  const hosts = targets === undefined ? undefined : await selectOfJob({ ledger, inventory }, jobId, targets)
  if (!(await cancelJob(ledger, jobId, hosts))) throw noSuchJob(jobId)
  logger.info({ job_id: jobId, hosts: hosts?.length ?? 'all', key_id: caller.keyId }, 'job cancelled on request')
  return reportOf(ledger, jobId)
}

/**
 * The hosts of the job that an expression selects. It can name only hosts of the job, including those that have left
 * the inventory since; "@*" is all of them. Other groups and labels are those of the inventory as it is now.
 */
async function selectOfJob(
  { ledger, inventory }: Pick<OperationDeps, 'ledger' | 'inventory'>,
  jobId: string,
  targets: string,
): Promise<string[]> {
  const ofJob = await hostsOfJob(ledger, jobId)
  if (ofJob === undefined) throw noSuchJob(jobId)
  const hosts = [...resolveField(inventory.current(), 'targets', targets, { within: ofJob })]
  if (hosts.length > 0) return hosts
  throw new MusterError('no_targets', `"${targets.slice(0, 200)}" selects no host of job ${jobId}`, {
    details: { field: 'targets', job_id: jobId },
  })
}

/**
 * Raises the exec timeout of a job that has not ended, and reports it.
 * @throws {MusterError} not_found, job_ended, key_limit, signature_invalid; invalid_request if the limit is lower than
 *   the present one
 */
export async function requestExtend(
  deps: OperationDeps,
  { job_id: jobId, exec_timeout_s: execTimeoutS }: Input<'extend_job'>,
  caller: Caller,
): Promise<JobReport> {
  const { ledger, logger } = deps
  const sign = await signingFor(deps, jobId, caller)
  await requireOwnLimits(deps, jobId, caller, sign)
  requireExecTimeout(caller, execTimeoutS)
  const outcome = await extendJob(ledger, jobId, execTimeoutS * 1_000, sign)
  const report = await reportOfChange(ledger, jobId, outcome, 'its exec timeout cannot be raised any more')
  logger.info({ job_id: jobId, exec_timeout_s: execTimeoutS, key_id: caller.keyId }, 'exec timeout raised')
  return report
}

/**
 * Resumes a job that is paused after a batch, and reports it. With `batch`, only if it is paused after that batch.
 * @throws {MusterError} not_found, job_not_paused, key_limit, signature_invalid
 */
export async function requestResume(
  deps: OperationDeps,
  { job_id: jobId, batch }: Input<'resume_job'>,
  caller: Caller,
): Promise<JobReport> {
  const { ledger, logger } = deps
  const sign = await signingFor(deps, jobId, caller)
  await requireOwnLimits(deps, jobId, caller, sign)
  const outcome = await resumeJob(ledger, jobId, batch === undefined ? undefined : batch - 1, sign)
  if (outcome === 'unknown') throw noSuchJob(jobId)
  const report = await reportOf(ledger, jobId)
  if (outcome === 'not_paused') {
    const at = report.state === 'paused' && report.batch !== null ? ` after batch ${report.batch.number}` : ''
    const wanted = batch === undefined ? '' : ` after batch ${batch}`
    const message = `job ${jobId} is ${report.state}${at}, not paused${wanted}`
    throw new MusterError('job_not_paused', message, { details: { job_id: jobId } })
  }
  logger.info({ job_id: jobId, batch: report.batch?.number, key_id: caller.keyId }, 'job resumed on request')
  return report
}

/**
 * Changes how many runs of a job may be in flight, and reports the job.
 * @throws {MusterError} not_found, job_ended, key_limit, signature_invalid
 */
export async function requestConcurrency(
  deps: OperationDeps,
  { job_id: jobId, concurrency }: Input<'set_concurrency'>,
  caller: Caller,
): Promise<JobReport> {
  const { ledger, logger } = deps
  const sign = await signingFor(deps, jobId, caller)
  const total = await requireOwnLimits(deps, jobId, caller, sign)
  requireConcurrency(caller, concurrency, total)
  const outcome = await setConcurrency(ledger, jobId, concurrency, sign)
  const report = await reportOfChange(ledger, jobId, outcome, 'its concurrency cannot be changed any more')
  logger.info({ job_id: jobId, concurrency: report.concurrency, key_id: caller.keyId }, 'concurrency changed')
  return report
}

/**
 * Passes when a server has signed the job for this caller, or nobody has signed it: the owner in its record has let the
 * caller in, and anyone who can write to Redis can put their own name there. Returns whether it is signed; false where
 * nothing is checked.
 * @throws {MusterError} signature_invalid
 */
export async function requireSignedFor(
  { ledger, checkWork }: OperationDeps,
  jobId: string,
  { owner, scopes }: Caller,
): Promise<boolean> {
  if (checkWork === undefined) return false
  return await isSignedFor(ledger, checkWork, jobId, scopes.has('jobs:all') ? undefined : owner)
}

/**
 * What signs an order for a job: nothing when the job itself is not signed.
 * @throws {MusterError} signature_invalid
 */
async function signingFor(deps: OperationDeps, jobId: string, caller: Caller): Promise<SignWork | undefined> {
  const isSigned = await requireSignedFor(deps, jobId, caller)
  return isSigned || deps.checkWork === undefined ? deps.signWork : undefined
}

/**
 * Passes when the key of the caller would allow them to submit this job: else they could help one on its way that does
 * what they may not. Returns how many hosts it has; 0 for a key without limits, to which nothing is refused. With
 * `sign`, the job must be as it was signed.
 * @throws {MusterError} not_found, key_limit, signature_invalid
 */
async function requireOwnLimits(
  { ledger, inventory, checkWork }: OperationDeps,
  jobId: string,
  caller: Caller,
  sign: SignWork | undefined,
): Promise<number> {
  if (isUnlimited(caller.limits)) return 0
  const [read, hosts] = await Promise.all([readSpec(ledger, jobId), hostsOfJob(ledger, jobId)])
  if (read === undefined || hosts === undefined) throw noSuchJob(jobId)
  if (sign !== undefined && checkWork !== undefined) {
    await requireSignedRecord(ledger, checkWork, jobId, { texts: read.texts, hosts })
  }
  // A job of 10,000 hosts may have its own pace from before; what is asked for now is checked by itself.
  const request = { ...read.spec, targets: '', order: 'given', concurrency: 1 }
  requireAllowed(caller, request, { hosts, inventory: inventory.current() })
  return hosts.length
}

/** The report of a job after a change, or the refusal if it had ended before. `tooLate` says what cannot be done. */
async function reportOfChange(
  ledger: Ledger,
  jobId: string,
  outcome: Awaited<ReturnType<typeof extendJob | typeof setConcurrency>>,
  tooLate: string,
): Promise<JobReport> {
  if (outcome === 'unknown') throw noSuchJob(jobId)
  const report = await reportOf(ledger, jobId)
  if (outcome !== 'ended') return report
  const message = `job ${jobId} is ${report.state} already; ${tooLate}`
  throw new MusterError('job_ended', message, { details: { job_id: jobId } })
}

/**
 * Reports a job as it is now.
 * @throws {MusterError} not_found
 */
export async function reportOf(ledger: Ledger, jobId: string): Promise<JobReport> {
  const report = await reportJob(ledger, jobId)
  if (report === undefined) throw noSuchJob(jobId)
  return report
}
