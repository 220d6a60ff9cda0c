/**
 * Jobs with `sudo` and `run_as`, end to end: the password goes from a file of the worker to the prompt of the real
 * sudo, and nowhere else.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { OPERATIONS } from '@muster/contract'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, inject, onTestFinished, test } from 'vitest'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'
import { CAN_MAKE_SUDOERS, makeSudoer, type Sudoer } from '../../support/ssh/sudoer.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

let sudoer: Sudoer | undefined

beforeAll(async () => {
  if (CAN_MAKE_SUDOERS) sudoer = await makeSudoer((user) => `${user} ALL=(ALL:ALL) ALL`)
})
afterAll(() => sudoer?.close())
beforeEach((context) => {
  if (!CAN_MAKE_SUDOERS) context.skip('only root can make accounts and rules for sudo to test with')
})

/** Hosts that differ in the password for sudo alone. */
async function startWithSudo() {
  if (sudoer === undefined) throw new Error('the account was not made')
  const { port, keys, knownHosts } = inject('sshd')
  const directory = await mkdtemp(join(tmpdir(), 'muster-sudo-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const file = async (name: string, text: string) => {
    await writeFile(join(directory, name), text, { mode: 0o600 })
    return `sudo_password_file: ${join(directory, name)}`
  }
  const hosts = {
    right: await file('right', `${sudoer.password}\n`),
    wrong: 'sudo_password_env: WRONG_PASSWORD',
    several: await file('several', `${sudoer.password}\nanother line\n`),
    unreadable: `sudo_password_file: ${join(directory, 'is-not-there')}`,
  }
  const inventory = [
    `defaults: { user: ${sudoer.user}, port: ${port}, identity_file: ${keys.ed25519} }`,
    'hosts:',
    ...Object.entries(hosts).map(([name, field], i) => `  ${name}: { address: 127.0.1.${i + 1}, ${field} }`),
    '  none: { address: 127.0.1.9 }',
    '',
  ].join('\n')
  const log = join(directory, 'log')
  const env = { WRONG_PASSWORD: 'is-wrong', MUSTER_LOG_FILE: log, LOG_LEVEL: 'trace' }
  const stack = await startStack({ inventory, knownHosts, env })
  return { stack, directory, log, password: sudoer.password }
}

async function runOf(stack: Stack, jobId: string, host: string) {
  return OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs/${host}`)).body)
}

test('runs as root or another user, and tells a missing, wrong or unreadable password from a failure', async () => {
  const { stack, log, password } = await startWithSudo()
  const { job_id } = await stack.submit({ targets: '@*', command: 'cat; id -un; exit 1', stdin: 'in:', sudo: true })
  const job = await stack.ended(job_id)
  expect(job).toMatchObject({ state: 'failed', counts: { failed: 5 } })
  const notStarted = { state: 'failed', remote: 'not_started', safe_to_retry: true, exit_code: null }
  const wanted = {
    right: { state: 'failed', reason: 'exit_nonzero', remote: 'ended', exit_code: 1 },
    wrong: { ...notStarted, reason: 'sudo_denied' },
    several: { ...notStarted, reason: 'sudo_password_required' },
    unreadable: { ...notStarted, reason: 'sudo_password_required' },
    none: { ...notStarted, reason: 'sudo_password_required' },
  }
  for (const [host, end] of Object.entries(wanted)) expect(await runOf(stack, job_id, host)).toMatchObject(end)
  const output = OPERATIONS.gather_output.output.parse((await stack.ask('GET', job.links.output)).body)
  expect(output.groups).toContainEqual(expect.objectContaining({ hosts: 'right', stdout: 'in:root\n', stderr: '' }))

  // run_as says sudo by itself; without either, the password is not even read.
  const other = await stack.submit({ targets: 'right', argv: ['id', '-un'], run_as: 'daemon' })
  const plain = await stack.submit({ targets: 'unreadable', argv: ['true'] })
  expect(await stack.ended(other.job_id)).toMatchObject({ state: 'succeeded' })
  expect(await stack.ended(plain.job_id)).toMatchObject({ state: 'succeeded' })
  const { groups } = OPERATIONS.gather_output.output.parse((await stack.ask('GET', other.links.output)).body)
  expect(groups).toMatchObject([{ stdout: 'daemon\n' }])

  const redis = new Redis(sharedRedisUrl())
  onTestFinished(() => redis.disconnect())
  // A compressed dump would hide what is looked for.
  await redis.config('SET', 'rdbcompression', 'no')
  const names = await redis.keys(`{${stack.env.MUSTER_PREFIX}}*`)
  const dumps = await Promise.all(names.map((name) => redis.dumpBuffer(name)))
  const runs = await stack.ask('GET', job.links.runs)
  const seen = [...dumps.map(String), JSON.stringify(runs.body), await readFile(log, 'utf8')].join('\n')
  expect(seen).toContain(job_id)
  expect(seen).toContain('incorrect password attempt')
  for (const secret of [password, 'is-wrong']) expect(seen).not.toContain(secret)
}, 60_000)

test('cancelling kills the processes of root too, and says so only when nothing is left', async () => {
  const { stack, directory } = await startWithSudo()
  const witness = join(directory, 'ran')
  const read = async () => await readFile(witness, 'utf8').catch(() => '')
  const command = `(trap "" TERM; while :; do sleep 0.1; echo "$(id -un)" >> ${witness}; done) & wait`
  const { job_id } = await stack.submit({ targets: 'right', command, sudo: true, kill_grace_s: 0.5 })
  await expect.poll(read, { timeout: 20_000 }).toMatch(/^(root\n)+$/)
  await stack.ask('POST', `/v1/jobs/${job_id}/cancel`)
  expect(await stack.ended(job_id)).toMatchObject({ state: 'cancelled' })
  expect(await runOf(stack, job_id, 'right')).toMatchObject({ reason: 'cancelled_by_user', remote: 'ended' })
  const before = await read()
  await promisify(execFile)('sleep', ['0.5'])
  expect(await read()).toBe(before)
}, 60_000)

test('a durable command of root outlives its worker, and can be cancelled by the next one', async () => {
  const { stack, directory } = await startWithSudo()
  const witness = join(directory, 'ran')
  const read = async () => await readFile(witness, 'utf8').catch(() => '')
  const durable = { targets: 'right', sudo: true, durable: true, kill_grace_s: 0.5 } as const
  const command = `id -un >> ${witness}; sleep 4; id -un`
  const ended = await stack.submit({ ...durable, command })
  const endless = await stack.submit({ ...durable, command: `id -un >> ${witness}; while :; do sleep 1; done` })
  await expect.poll(read, { timeout: 20_000 }).toBe('root\nroot\n')
  const [worker] = stack.workers
  if (worker === undefined) throw new Error('no worker was started')
  process.kill(worker.pid, 'SIGKILL')
  await stack.startWorker()
  expect(await stack.ended(ended.job_id)).toMatchObject({ state: 'succeeded' })
  expect(await runOf(stack, ended.job_id, 'right')).toMatchObject({ mode: 'durable', stdout: { bytes: 5 } })
  await stack.ask('POST', `/v1/jobs/${endless.job_id}/cancel`)
  expect(await stack.ended(endless.job_id)).toMatchObject({ state: 'cancelled' })
  expect(await runOf(stack, endless.job_id, 'right')).toMatchObject({ mode: 'durable', remote: 'ended' })
  expect(await read()).toBe('root\nroot\n')
}, 90_000)
