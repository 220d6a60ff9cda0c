/**
 * Secrets from a program of the operator's, end to end against a real sshd: the program is asked when the worker needs
 * the secret, and what it gives goes to the host and nowhere else.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { OPERATIONS } from '@muster/contract'
import { Redis } from 'ioredis'
import { beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'
import { startRelay } from '../../support/ssh/relay.ts'
import { strangeKey } from '../../support/ssh/strange-key.ts'
import { CAN_MAKE_SUDOERS, makeSudoer } from '../../support/ssh/sudoer.ts'
import { makeCredentialProgram } from '../../support/stack/credential-program.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

const { port, user, password, keys, hostKeys } = inject('sshd')

beforeEach((context) => {
  if (password === null) context.skip('only root can set the password of an account to test with')
})

/** A Muster whose host `db01` asks a program for its secrets, over a line that counts connections. */
async function startWithProgram(script: string, fields = '', login = user) {
  const program = await makeCredentialProgram(script)
  const relay = await startRelay(port)
  const log = join(program.directory, 'log')
  const command = `credential_command: [${program.program}, --of, this store]`
  const inventory = `hosts:\n  db01: { address: 127.0.1.1, port: ${relay.port}, user: ${login}, ${command}${fields} }\n`
  const stack = await startStack({
    inventory,
    knownHosts: `[127.0.*]:${relay.port} ssh-ed25519 ${hostKeys['ssh-ed25519']}\n`,
    workers: 0,
    env: { MUSTER_LOG_FILE: log, LOG_LEVEL: 'trace' },
  })
  const passed = { VAULT_TOKEN: 'token-of-vault', UNLISTED: 'not-for-it', MUSTER_SECRET_X: 'not-for-it' }
  const startWorker = (env: Record<string, string> = {}) =>
    stack.startWorker({
      MUSTER_CREDENTIAL_COMMANDS: join(program.directory, 'bin'),
      MUSTER_CREDENTIAL_COMMAND_ENV: 'VAULT_TOKEN, VAULT_ADDR',
      ...passed,
      ...env,
    })
  return { ...program, stack, relay, log: () => readFile(log, 'utf8'), startWorker }
}

async function runOn(stack: Stack, more: Record<string, unknown> = {}) {
  const { job_id } = await stack.submit({ targets: 'db01', command: 'id -un', retries: 0, ...more })
  await stack.ended(job_id)
  return OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${job_id}/runs/db01`)).body)
}

const WELL = { state: 'succeeded', reason: null }

test('the program is asked once for the password, by JSON on its input, and only the host gets it', async () => {
  const { stack, startWorker, questions, seen, log } = await startWithProgram(`echo '${password}'`)
  await startWorker()
  for (let i = 0; i < 2; i += 1) expect(await runOn(stack)).toMatchObject(WELL)
  const { port: asked } = JSON.parse(JSON.stringify((await questions())[0]))
  const question = { version: 1, kind: 'password', host: 'db01', address: '127.0.1.1', port: asked, user }
  expect(await questions()).toEqual([question])
  const told = await seen()
  expect(told).toContain('VAULT_TOKEN=token-of-vault')
  expect(told).toMatch(/\/bin\/give --of this store $/)
  expect(told).not.toMatch(/not-for-it|MUSTER|REDIS/)

  const redis = new Redis(sharedRedisUrl())
  onTestFinished(() => redis.disconnect())
  const kept = await Promise.all(
    (await redis.keys(`*${stack.env.MUSTER_PREFIX}*`)).map(async (key) => {
      const [type, dump] = [await redis.type(key), await redis.dumpBuffer(key)]
      return type === 'hash' ? JSON.stringify(await redis.hgetall(key)) : dump?.toString('latin1')
    }),
  )
  expect(kept.length).toBeGreaterThan(3)
  const answers = [(await stack.ask('GET', '/v1/hosts')).body, (await stack.ask('GET', '/v1/jobs')).body]
  expect([...kept, JSON.stringify(answers), await log(), told].join('\n')).not.toContain(password)
}, 60_000)

describe('a program that gives no secret', () => {
  test('is the reason of the run and no fault of the host, and nothing of that is kept', async () => {
    const { stack, program, relay, startWorker, does, log } = await startWithProgram('exit 1')
    await startWorker()
    for (const [script, why] of [
      ['echo no-such-item >&2; exit 2', 'ended with status 2; the log of the worker has what it said'],
      ['kill -s KILL $$', 'ended by SIGKILL'],
      ['exit 0', 'printed nothing on its standard output'],
      ['yes', 'printed more than 65536 bytes'],
    ]) {
      await does(script ?? '')
      const detail = `the credential command ${program} (password of db01) ${why}`
      const end = { state: 'unreachable', reason: 'auth_failed', remote: 'not_started', detail }
      expect(await runOn(stack)).toMatchObject(end)
    }
    expect(relay.count(), 'the host was not called').toBe(0)
    expect(await log()).toContain('"stderr":"no-such-item"')
    // No breaker is open.
    await does(`echo '${password}'`)
    expect(await runOn(stack)).toMatchObject(WELL)
  }, 60_000)

  test('is asked again by the next attempt, as its trouble may pass', async () => {
    const script = `[ -e $HOME/once ] || { : >$HOME/once; exit 75; }; echo '${password}'`
    const { stack, startWorker } = await startWithProgram(script)
    await startWorker()
    expect(await runOn(stack, { retries: 1, retry_backoff_s: 0 })).toMatchObject({ ...WELL, attempt: 2 })
  }, 60_000)

  test('after half a secret shows it to nobody, though it complains of it', async () => {
    const { stack, startWorker, log } = await startWithProgram('echo half-a-canary; echo bad half-a-canary >&2; exit 1')
    await startWorker()
    const run = await runOn(stack)
    expect(run).toMatchObject({ reason: 'auth_failed' })
    expect(await log()).toContain('"stderr":"bad [secret]"')
    expect(JSON.stringify(run) + (await log())).not.toContain('canary')
  }, 60_000)

  test('leaves the other credentials of the host; if they are refused, that is not all there is to say', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'muster-strange-')), 'key')
    onTestFinished(() => rm(dirname(file), { recursive: true, force: true }))
    await writeFile(file, strangeKey(), { mode: 0o600 })
    const { stack, startWorker, does } = await startWithProgram('exit 9', `, identity_file: ${file}`)
    await startWorker()
    const both = /key .*: refused; the credential command .* ended with status 9$/
    for (let i = 0; i < 3; i += 1) {
      expect(await runOn(stack)).toMatchObject({ reason: 'auth_failed', detail: expect.stringMatching(both) })
    }
    await does(`echo '${password}'`)
    expect(await runOn(stack), 'no breaker is open').toMatchObject(WELL)
  }, 60_000)
})

test('a program that the operator has not named is not run, and the log says so early', async () => {
  const { stack, relay, questions, log, startWorker, program } = await startWithProgram(`echo '${password}'`)
  await startWorker({ MUSTER_CREDENTIAL_COMMANDS: '/etc/muster/bin' })
  const words = `the credential command ${program} is not run: it is not among the programs`
  await expect.poll(log).toContain(`db01: ${words}`)
  expect(await runOn(stack)).toMatchObject({
    state: 'unreachable',
    reason: 'auth_failed',
    detail: expect.stringContaining(words),
  })
  expect([await questions(), relay.count()]).toEqual([[], 0])
}, 60_000)

test('a password that was replaced is asked for once more when the host refuses the old one', async () => {
  const { stack, relay, questions, does, startWorker } = await startWithProgram('echo wrong-horse')
  await startWorker()
  const refused = { state: 'unreachable', reason: 'auth_failed' }
  expect(await runOn(stack)).toMatchObject(refused)
  expect([(await questions()).length, relay.count()]).toEqual([1, 1])
  // The same again: it is asked for, and not tried a second time in one run.
  expect(await runOn(stack)).toMatchObject(refused)
  expect([(await questions()).length, relay.count()]).toEqual([2, 2])
  await does(`echo '${password}'`)
  expect(await runOn(stack, { force: true })).toMatchObject(WELL)
  expect([(await questions()).length, relay.count()]).toEqual([3, 4])
}, 60_000)

test('the program gives a key and its passphrase', async () => {
  const { file, passphrase } = keys.encrypted
  const script = `case $question in *'"kind":"key"'*) cat ${file} ;; *) echo '${passphrase}' ;; esac`
  const { stack, startWorker, questions } = await startWithProgram(script, ', credential_kinds: [key, passphrase]')
  await startWorker()
  expect(await runOn(stack)).toMatchObject({ ...WELL, reached: { credentials: [{ kind: 'key' }] } })
  expect(await questions()).toHaveLength(2)
}, 60_000)

test('the program gives the password for sudo, and only when a job needs it', async (context) => {
  if (!CAN_MAKE_SUDOERS) return context.skip('only root can make accounts and rules for sudo to test with')
  const sudoer = await makeSudoer((name) => `${name} ALL=(ALL:ALL) ALL`)
  onTestFinished(() => sudoer.close())
  const { directory, ...given } = await startWithProgram(
    'echo wrong-horse',
    `, credential_kinds: sudo_password, identity_file: ${keys.ed25519}`,
    sudoer.user,
  )
  await given.startWorker()
  expect(await runOn(given.stack)).toMatchObject(WELL)
  expect(await given.questions()).toEqual([])
  const denied = { state: 'failed', reason: 'sudo_denied', remote: 'not_started' }
  expect(await runOn(given.stack, { sudo: true }), directory).toMatchObject(denied)
  // It was replaced: the next job asks again when sudo refuses the one that is kept.
  await given.does(`echo '${sudoer.password}'`)
  expect(await runOn(given.stack, { sudo: true })).toMatchObject(WELL)
  expect(await given.questions()).toHaveLength(2)
}, 90_000)

test('of the section credentials it gives the password for sudo, for the hosts of its entry', async (context) => {
  if (!CAN_MAKE_SUDOERS) return context.skip('only root can make accounts and rules for sudo to test with')
  const sudoer = await makeSudoer((name) => `${name} ALL=(ALL:ALL) ALL`)
  onTestFinished(() => sudoer.close())
  const { program, directory, questions } = await makeCredentialProgram(`echo '${sudoer.password}'`)
  const inventory = [
    'credentials:',
    `  key: { hosts: [127.0.0.0/8], identity_file: ${keys.ed25519} }`,
    `  sudo: { hosts: [127.0.3.0/24], credential_command: [${program}], credential_kinds: sudo_password }`,
    '',
  ].join('\n')
  const stack = await startStack({
    inventory,
    knownHosts: inject('sshd').knownHosts,
    env: { MUSTER_ADHOC_HOSTS: '127.0.0.0/8', MUSTER_CREDENTIAL_COMMANDS: join(directory, 'bin') },
  })
  const runAt = async (address: string, more: Record<string, unknown> = {}) => {
    const targets = `${sudoer.user}@${address}:${port}`
    const { job_id } = await stack.submit({ targets, command: 'id -un', retries: 0, sudo: true, ...more })
    const { state, problems } = await stack.ended(job_id)
    return [state, problems?.[0]?.reason]
  }
  expect(await runAt('127.0.3.1')).toEqual(['succeeded', undefined])
  expect(JSON.stringify(await questions())).toContain('"kind":"sudo_password"')
  expect(await runAt('127.0.4.1')).toEqual(['failed', 'sudo_password_required'])
  // Named alone, an entry is all that there is.
  expect(await runAt('127.0.3.2', { connect: { credential: 'key' } })).toEqual(['failed', 'sudo_password_required'])
}, 90_000)
