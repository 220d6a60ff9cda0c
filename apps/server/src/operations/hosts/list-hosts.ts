/** Which hosts there are, and whether one can be reached. */
import {
  type Host,
  type HostTest,
  type Input,
  isHostName,
  isTerminalRun,
  MusterError,
  type Output,
  type Run,
  Submit,
} from '@muster/contract'
import type { InventoryHost } from '@muster/inventory'
import { getRun, withHostOfJob } from '../jobs/runs.ts'
import { submit } from '../jobs/submit.ts'
import type { Caller, OperationDeps } from '../operations.ts'
import { resolveHosts } from './resolve-hosts.ts'

/** `true` takes no time; a host that takes longer is not well. */
const TEST_EXEC_TIMEOUT_S = 10

/**
 * A page of hosts, without credentials.
 * @throws {MusterError} invalid_target, unknown_target, no_targets; invalid_request for a cursor that is none of ours
 */
export function listHosts(deps: OperationDeps, input: Input<'list_hosts'>): Output<'list_hosts'> {
  const inventory = deps.inventory.current()
  const names = resolveHosts(inventory, input.targets)
  const start = input.cursor === undefined ? 0 : readCursor(input.cursor)
  const end = start + input.limit
  const hosts = names.slice(start, end).flatMap((name) => {
    const host = inventory.hosts.get(name)
    return host === undefined ? [] : [publicHost(host)]
  })
  return { hosts, total: names.length, next_cursor: end < names.length ? writeCursor(end) : null }
}

function publicHost(host: InventoryHost): Host {
  const { name, aliases, address, port, user, jump = null, groups, labels, disabled = null } = host
  return {
    name,
    aliases: [...aliases],
    address,
    port,
    user,
    jump,
    groups: [...groups],
    labels: { ...labels },
    disabled,
  }
}

function writeCursor(index: number): string {
  return Buffer.from(`hosts:${index}`).toString('base64url')
}

function readCursor(cursor: string): number {
  const [, index] = /^hosts:(\d{1,9})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (index !== undefined) return Number(index)
  throw new MusterError('invalid_request', `cursor: "${cursor}" is not the next_cursor of a page of hosts`, {
    details: { field: 'cursor' },
  })
}

/**
 * Runs `true` on a host and tells whether it could be reached and logged in to.
 * @throws {MusterError} unknown_target for a host that is not in the inventory
 */
export async function testHost(deps: OperationDeps, input: Input<'test_host'>, caller: Caller): Promise<HostTest> {
  const { host, wait_s } = input
  if (!isHostName(host)) {
    throw new MusterError('invalid_request', `host: ${JSON.stringify(host)} is not the name of one host`, {
      details: { field: 'host' },
    })
  }
  const request = Submit.parse({
    targets: host,
    argv: ['true'],
    title: 'connection test',
    // It disturbs nothing on the host.
    read_only: true,
    exec_timeout_s: TEST_EXEC_TIMEOUT_S,
    wait_s,
  })
  const { job_id: jobId } = await submit(deps, request, caller, { isTest: true })
  return toHostTest(await getRun(deps, await withHostOfJob(deps, { job_id: jobId, host })))
}

function toHostTest(run: Run): HostTest {
  const hasEnded = isTerminalRun(run.state)
  return {
    host: run.host,
    ok: hasEnded ? run.state === 'succeeded' : null,
    state: run.state,
    reason: run.reason,
    detail: hasEnded ? run.detail : 'No answer yet; the test goes on under its job ID.',
    connect_ms: run.connect_ms,
    job_id: run.job_id,
  }
}
