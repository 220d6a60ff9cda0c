/**
 * Submitting jobs: the target expression becomes a frozen set of hosts, the ledger accepts the job, and the answer waits
 * for its end if that was asked for. A wait that ends early leaves the job as it is.
 */
import { type Input, isTerminalJob, type JobReport, MusterError, type Output } from '@muster/contract'
import { gatherOutput, readRerun, submitJob, waitForJob } from '@muster/ledger'
import { noSuchJob, reportOf } from './jobs.ts'
import type { Caller, OperationDeps } from './operations.ts'
import { withinLimit } from './output.ts'
import { selectHosts } from './select-hosts.ts'

/** Most characters of output in the answer of `run_command`: an AI agent reads the rest on purpose, or not at all. */
const ANSWER_LIMIT_CHARS = 16_000
/** Most bytes of each stream shown for one group of hosts in that answer. */
const GROUP_LIMIT_BYTES = 4_096

/**
 * Submits a job and reports it. `isTest`: it is to find out whether a host can be reached, so a breaker that is open because
 * it could not be is no reason not to try.
 * @throws {MusterError} invalid_target, unknown_target, no_targets, idempotency_conflict, ledger_unavailable
 */
export async function submit(
  deps: OperationDeps,
  request: Input<'submit_job'>,
  caller: Caller,
  { isTest = false }: { isTest?: boolean } = {},
): Promise<JobReport> {
  const { ledger, inventory, logger } = deps
  const { hosts, seed } = selectHosts(inventory.current(), request)
  const { jobId, created } = await submitJob(ledger, {
    request,
    hosts,
    owner: caller.keyId,
    isTest,
    ...(seed === undefined ? {} : { seed }),
  })
  if (created) logger.info({ job_id: jobId, hosts: hosts.length, key_id: caller.keyId }, 'job submitted')
  await waitForJob(ledger, jobId, { until: 'done', waitMs: request.wait_s * 1_000, signal: caller.signal })
  return reportOf(deps, jobId)
}

/**
 * Runs a job again on those of its hosts that ended in `states`: those of the frozen set, whatever the inventory says now.
 * @throws {MusterError} not_found; no_targets when no host ended so; idempotency_conflict, ledger_unavailable
 */
export async function rerun(deps: OperationDeps, input: Input<'rerun_job'>, caller: Caller): Promise<JobReport> {
  const { ledger, logger } = deps
  const { job_id: rerunOf, states, wait_s, idempotency_key } = input
  const again = await readRerun(ledger, rerunOf, states)
  if (again === undefined) throw noSuchJob(rerunOf)
  if (again.hosts.length === 0) {
    throw new MusterError('no_targets', `no host of job ${rerunOf} has ended as ${states.join(', ')}`, {
      details: { field: 'states', job_id: rerunOf },
    })
  }
  const request = { ...again.request, wait_s, ...(idempotency_key === undefined ? {} : { idempotency_key }) }
  const rerun = { of: rerunOf, states: [...states].sort() }
  const { jobId } = await submitJob(ledger, { request, hosts: again.hosts, owner: caller.keyId, rerun })
  logger.info({ job_id: jobId, rerun_of: rerunOf, hosts: again.hosts.length, key_id: caller.keyId }, 'job run again')
  await waitForJob(ledger, jobId, { until: 'done', waitMs: wait_s * 1_000, signal: caller.signal })
  return reportOf(deps, jobId)
}

/** Submits a job and answers with its output as well when it has ended within `wait_s`. Throws what `submit` throws. */
export async function runCommand(
  deps: OperationDeps,
  request: Input<'run_command'>,
  caller: Caller,
): Promise<Output<'run_command'>> {
  const job = await submit(deps, request, caller)
  const call = JSON.stringify({ job_id: job.job_id })
  if (!isTerminalJob(job.state)) return { job, output: null, next: callFor(job) }
  const gathered = await gatherOutput(deps.ledger, job.job_id, {
    limitBytes: GROUP_LIMIT_BYTES,
    masks: [],
    withDiff: false,
  })
  const output = gathered === undefined ? null : withinLimit(gathered, ANSWER_LIMIT_CHARS)
  const isAll =
    output !== null &&
    output.omitted_groups === 0 &&
    output.groups.every((group) => !group.truncated && group.output_complete)
  const next = isAll
    ? 'The job has ended and this is all of its output.'
    : `The job has ended. This is not all of its output: for more call get_output with ${call} and a host.`
  return { job, output, next }
}

/** The call to make next for a job that has not ended. */
function callFor({ job_id, state, batch }: JobReport): string {
  const call = JSON.stringify({ job_id })
  if (state !== 'paused' || batch === null) {
    return `The job goes on. Call wait_job with ${call}, then get_output with ${call}.`
  }
  const { number, of, paused_because: why, paused_until: until } = batch
  const proof = why === 'nothing_ran' ? ' No host of this batch was tried, so it proves nothing.' : ''
  const end = until === null ? '' : ` Otherwise it ends by itself at ${until}.`
  return (
    `The job is paused after batch ${number} of ${of} and waits to be let go on.${proof} Look at what the batch came to ` +
    `with get_output ${call}, then call resume_job with ${JSON.stringify({ job_id, batch: number })}, or cancel_job with ` +
    `${call}.${end}`
  )
}
