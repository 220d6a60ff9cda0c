/**
 * Durable mode, end to end: the command outlives its worker and its connection, runs once, and its true result comes
 * home whoever fetches it.
 */
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { OPERATIONS } from '@muster/contract'
import { expect, inject, onTestFinished, test } from 'vitest'
import { FaultProxy } from '../../support/runtime/fault-proxy.ts'
import { findProgram } from '../../support/runtime/programs.ts'
import { CAN_MAKE_ACCOUNTS, makeAccount } from '../../support/ssh/account.ts'
import { startSshd } from '../../support/ssh/sshd.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

async function runOf(stack: Stack, jobId: string, host = 'web01') {
  return OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs/${host}`)).body)
}

async function outputOf(stack: Stack, jobId: string) {
  const { body } = await stack.ask('GET', `/v1/jobs/${jobId}/output`)
  return OPERATIONS.gather_output.output.parse(body).groups
}

/** A durable job on three hosts whose commands have begun. */
async function startDurable(stack: Stack, seconds: number) {
  const witness = await witnessFile()
  const command = `echo ran >> ${witness.path}; echo before; sleep ${seconds}; echo after; exit 3`
  const { job_id } = await stack.submit({ targets: '@web', command, durable: true })
  await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBe(3)
  return { witness, jobId: job_id }
}

/** What is left of a job in the home of the test account, but for the word that says that it ran. */
async function leftOver(jobId: string): Promise<string> {
  const find = `find ~${inject('sshd').user}/.muster-runs -path '*${jobId}*' -type f ! -name claim`
  return (await promisify(execFile)('sh', ['-c', find])).stdout
}

const TRUE_END = { counts: { failed: 3 }, problems: [{ state: 'failed', exit_code: 3, hosts: 'web[01-03]' }] }
const ALL_OF_IT = [{ count: 3, exit_code: 3, stdout: 'before\nafter\n' }]

test('a worker that is killed: another brings the true result home, and no output is left on the hosts', async () => {
  const stack = await startStack({ ...fleetFiles(3) })
  const { witness, jobId } = await startDurable(stack, 3)
  const [worker] = stack.workers
  if (worker === undefined) throw new Error('no worker was started')
  process.kill(worker.pid, 'SIGKILL')
  await stack.startWorker()
  expect(await stack.ended(jobId)).toMatchObject(TRUE_END)
  expect(await outputOf(stack, jobId)).toMatchObject(ALL_OF_IT)
  expect(await runOf(stack, jobId)).toMatchObject({ mode: 'durable', attempt: 1, notice: null })
  expect(await witness.lines()).toHaveLength(3)
  await expect.poll(() => leftOver(jobId)).toBe('')
}, 90_000)

test('a worker that is told to go hands its runs over at once, and the commands go on', async () => {
  const stack = await startStack({ ...fleetFiles(3), env: { MUSTER_SHUTDOWN_GRACE_S: '0' } })
  const { witness, jobId } = await startDurable(stack, 10)
  await stack.startWorker()
  await stack.workers[0]?.stop()
  expect(await runOf(stack, jobId)).toMatchObject({ state: 'running' })
  expect(await stack.ended(jobId)).toMatchObject(TRUE_END)
  expect(await outputOf(stack, jobId)).toMatchObject(ALL_OF_IT)
  expect(await witness.lines()).toHaveLength(3)
}, 90_000)

test('a network that is cut again and again: the result is whole, and each command ran once', async () => {
  const { port, hostKeys } = inject('sshd')
  const link = await FaultProxy.start(() => port)
  onTestFinished(() => link.close())
  const { inventory } = fleetFiles(3)
  const knownHosts = Object.entries(hostKeys).map(([type, key]) => `[127.0.*]:${link.port} ${type} ${key}\n`)
  const stack = await startStack({
    inventory: inventory.replace(`port: ${port}`, `port: ${link.port}`),
    knownHosts: knownHosts.join(''),
  })
  const { witness, jobId } = await startDurable(stack, 5)
  const cutting = setInterval(() => link.cut(), 900)
  onTestFinished(() => clearInterval(cutting))
  await new Promise((resolve) => setTimeout(resolve, 4_500))
  clearInterval(cutting)
  expect(await stack.ended(jobId)).toMatchObject(TRUE_END)
  expect(await outputOf(stack, jobId)).toMatchObject(ALL_OF_IT)
  expect(await witness.lines()).toHaveLength(3)
}, 90_000)

test('a cancel, a timeout and a raised limit do what they do to any command', async () => {
  const stack = await startStack({ ...fleetFiles(1) })
  const durable = { targets: 'web01', durable: true, kill_grace_s: 0.5 } as const
  const cancelled = await stack.submit({ ...durable, command: `trap '' TERM; sleep 60 & wait; sleep 60` })
  await expect.poll(async () => (await runOf(stack, cancelled.job_id)).state, { timeout: 20_000 }).toBe('running')
  await stack.ask('POST', `/v1/jobs/${cancelled.job_id}/cancel`)
  expect(await stack.ended(cancelled.job_id)).toMatchObject({ state: 'cancelled' })
  expect(await runOf(stack, cancelled.job_id)).toMatchObject({ reason: 'cancelled_by_user' })

  const timedOut = await stack.submit({ ...durable, command: 'sleep 60', exec_timeout_s: 1 })
  await stack.ended(timedOut.job_id)
  const told = { state: 'timed_out', reason: 'exec_timeout', remote: 'ended' }
  expect(await runOf(stack, timedOut.job_id)).toMatchObject(told)

  const raised = await stack.submit({ ...durable, command: 'sleep 4; echo done', exec_timeout_s: 2 })
  await expect.poll(async () => (await runOf(stack, raised.job_id)).state, { timeout: 20_000 }).toBe('running')
  await stack.ask('POST', `/v1/jobs/${raised.job_id}/extend`, { exec_timeout_s: 60 })
  expect(await stack.ended(raised.job_id)).toMatchObject({ state: 'succeeded' })
}, 90_000)

test('a host that cannot hold it runs the command attached, once, and the run says so', async () => {
  // A directory that others may enter is no place for the output of a command.
  const home = await mkdtemp(join(tmpdir(), 'muster-open-home-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  await mkdir(join(home, '.muster-runs'))
  await chmod(join(home, '.muster-runs'), 0o777)
  await chmod(home, 0o777)
  const own = await startSshd([`SetEnv HOME=${home}`])
  onTestFinished(() => own.close())
  const { port, user, keys, knownHosts } = own.facts
  const host = `{ address: 127.0.1.1, port: ${port}, user: ${user}, identity_file: ${keys.ed25519} }`
  const inventory = `hosts:\n  web01: ${host}\n`
  const stack = await startStack({ inventory, knownHosts })
  const witness = await witnessFile()
  const command = `echo ran >> ${witness.path}; echo out`
  const { job_id } = await stack.submit({ targets: 'web01', command, durable: true })
  expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
  const run = await runOf(stack, job_id)
  expect(run).toMatchObject({ mode: 'attached', notice: expect.stringContaining('.muster-runs') })
  expect(await witness.lines()).toHaveLength(1)
}, 60_000)

const recorder = findProgram('tlog-rec-session')
test.skipIf(!CAN_MAKE_ACCOUNTS || recorder === undefined)(
  'an account whose streams a session recorder merges: the command runs once',
  async () => {
    const account = await makeAccount(recorder ?? '')
    onTestFinished(() => account.close())
    const { port, keys } = inject('sshd')
    const host = `{ address: 127.0.1.1, port: ${port}, user: ${account.user}, identity_file: ${keys.ed25519} }`
    const stack = await startStack({ inventory: `hosts:\n  web01: ${host}\n`, knownHosts: inject('sshd').knownHosts })
    const witness = await witnessFile()
    const command = `echo ran >> ${witness.path}; echo out; echo err >&2; exit 3`
    const { job_id } = await stack.submit({ targets: 'web01', command, durable: true, retries: 3 })
    expect(await stack.ended(job_id)).toMatchObject({ state: 'failed' })
    expect(await runOf(stack, job_id)).toMatchObject({ mode: 'durable', attempt: 1, exit_code: 3, notice: null })
    expect(await outputOf(stack, job_id)).toMatchObject([{ count: 1, exit_code: 3, stdout: 'out\n', stderr: 'err\n' }])
    expect(await witness.lines()).toHaveLength(1)
  },
  60_000,
)
