/** Tests whether one host can be reached, with a job that runs `true` on it. */
import { type HostTest, type Input, isOneHost, isTerminalRun, MusterError, type Run } from '@muster/contract'
import type { Caller, OperationDeps } from '../call/operation.ts'
import { resolveHosts } from '../hosts/select-hosts.ts'
import { getRun, withHostOfJob } from '../jobs/runs.ts'
import { submitLook, unforced } from './look.ts'
import { CONNECTION_TEST } from './test-connection.ts'

/**
 * Runs `true` on a host and says whether it could be reached and logged in to.
 * @throws {MusterError} unknown_target for a host that is not in the inventory; host_not_allowed
 */
export async function testHost(deps: OperationDeps, input: Input<'test_host'>, caller: Caller): Promise<HostTest> {
  const { host, connect, wait_s } = input
  if (!isOneHost(host)) {
    throw new MusterError('invalid_request', `host: ${JSON.stringify(host)} is not the name of one host`, {
      details: { field: 'host' },
    })
  }
  const [name = host] = resolveHosts(deps.inventory.current(), host, connect)
  const jobId = await submitLook(deps, CONNECTION_TEST, caller, { targets: host, connect, wait_s })
  return toHostTest(await getRun(deps.ledger, await withHostOfJob(deps, { job_id: jobId, host: name })))
}

function toHostTest(run: Run): HostTest {
  const hasEnded = isTerminalRun(run.state)
  return {
    host: run.host,
    ok: hasEnded ? run.state === 'succeeded' : null,
    state: run.state,
    reason: run.reason,
    detail: hasEnded ? unforced(run.detail) : 'No answer yet; the test goes on under its job ID.',
    exit_code: run.exit_code,
    connect_ms: run.connect_ms,
    job_id: run.job_id,
  }
}
