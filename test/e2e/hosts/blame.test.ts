/** What counts against a host for everybody: never what one job asks for, nor how many come at once. */
import { OPERATIONS, type Request } from '@muster/contract'
import { expect, onTestFinished, test } from 'vitest'
import { findProgram } from '../../support/runtime/programs.ts'
import { holdStartup } from '../../support/ssh/hold-startup.ts'
import { startSshd } from '../../support/ssh/sshd.ts'
import { fleetFiles, fleetFilesWithBadHosts } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

/** Runs a job to its end; answers its only run. */
async function runOf(stack: Stack, request: Request<'submit_job'>) {
  const { job_id } = await stack.submit(request)
  await stack.ended(job_id)
  const [run] = OPERATIONS.list_runs.output.parse((await stack.ask('GET', `/v1/jobs/${job_id}/runs`)).body).runs
  return run
}

const OFTEN = { command: 'true', retries: 9, retry_backoff_s: 0 }

test('a host that a job gave less time than usual is not barred, however often it did not answer', async () => {
  const stack = await startStack(await fleetFilesWithBadHosts(1))
  const hurried = { ...OFTEN, targets: 'silent', connect_timeout_s: 0.1 }
  expect(await runOf(stack, hurried)).toMatchObject({ reason: 'conn_timeout', attempt: 10 })
  expect(await runOf(stack, { ...hurried, retries: 0 })).toMatchObject({ reason: 'conn_timeout' })
  // One that refuses is at fault however little time it had.
  expect(await runOf(stack, { ...hurried, targets: 'refused', connect_timeout_s: 5 })).toMatchObject({ attempt: 5 })
  expect(await runOf(stack, { command: 'true', targets: 'refused' })).toMatchObject({ reason: 'breaker_open' })
}, 60_000)

test('a host at its limit of connections is not barred: anybody may have brought it there', async () => {
  const own = await startSshd(['MaxStartups 1:100:1'])
  onTestFinished(() => own.close())
  const { port, user, keys, knownHosts } = own.facts
  const host = `{ address: 127.0.1.1, port: ${port}, user: ${user}, identity_file: ${keys.ed25519} }`
  const stack = await startStack({ inventory: `hosts:\n  full: ${host}\n`, knownHosts })
  const letGo = await holdStartup(port)
  const run = await runOf(stack, { ...OFTEN, targets: 'full' })
  expect(run).toMatchObject({ state: 'unreachable', reason: 'conn_refused', attempt: 10 })
  expect(run?.detail).toContain('limit of connections (MaxStartups)')
  letGo()
  expect(await runOf(stack, { ...OFTEN, targets: 'full' })).toMatchObject({ state: 'succeeded' })
}, 60_000)

test.skipIf(findProgram('sudo') === undefined)(
  'a user whom only that job asks for, and whom sudo does not give, bars the host for nobody',
  async () => {
    const stack = await startStack(fleetFiles(1))
    for (const run_as of ['nobody-of-that-name', 'root', 'nobody-of-that-name']) {
      expect(await runOf(stack, { targets: 'web01', command: 'true', run_as })).toMatchObject({ state: 'failed' })
    }
    expect(await runOf(stack, { targets: 'web01', command: 'true' })).toMatchObject({ state: 'succeeded' })
  },
  60_000,
)
