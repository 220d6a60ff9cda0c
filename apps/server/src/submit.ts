/**
 * Submitting jobs: the target expression becomes a frozen set of hosts, the ledger accepts the job, and the answer waits
 * for its end if that was asked for. A wait that ends early leaves the job as it is.
 */
import { type Input, isTerminalJob, type JobReport, type Output } from '@muster/contract'
import { gatherOutput, submitJob, waitForJob } from '@muster/ledger'
import { reportOf } from './jobs.ts'
import type { Caller, OperationDeps } from './operations.ts'
import { withinLimit } from './output.ts'
import { resolveHosts } from './resolve-hosts.ts'

/** Most characters of output in the answer of `run_command`: an AI agent reads the rest on purpose, or not at all. */
const ANSWER_LIMIT_CHARS = 16_000
/** Most bytes of each stream shown for one group of hosts in that answer. */
const GROUP_LIMIT_BYTES = 4_096

/**
 * Submits a job and reports it.
 * @throws {MusterError} invalid_target, unknown_target, no_targets, idempotency_conflict, ledger_unavailable
 */
export async function submit(deps: OperationDeps, request: Input<'submit_job'>, caller: Caller): Promise<JobReport> {
  const { ledger, inventory, logger } = deps
  const hosts = resolveHosts(inventory.current(), request.targets)
  const { jobId, created } = await submitJob(ledger, { request, hosts: [...hosts], owner: caller.keyId })
  if (created) logger.info({ job_id: jobId, hosts: hosts.length, key_id: caller.keyId }, 'job submitted')
  await waitForJob(ledger, jobId, { until: 'done', waitMs: request.wait_s * 1_000, signal: caller.signal })
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
  if (!isTerminalJob(job.state)) {
    const next = `The job goes on. Call wait_job with ${call}, then get_output with ${call}.`
    return { job, output: null, next }
  }
  const gathered = await gatherOutput(deps.ledger, job.job_id, { limitBytes: GROUP_LIMIT_BYTES })
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
