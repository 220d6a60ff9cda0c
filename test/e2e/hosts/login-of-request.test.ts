/**
 * Passwords and keys that a request itself brings for the hosts that it names: sealed, and offered to those hosts
 * alone. A real sshd is behind all of them. That they are nowhere else is in secret-canary.test.ts.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { OPERATIONS, Problem, type Request, shellWord } from '@muster/contract'
import { beforeEach, expect, inject, onTestFinished, test } from 'vitest'
import { muster, musterFed } from '../../support/cli/muster-process.ts'
import { apart } from '../../support/runtime/apart.ts'
import { keyFiles } from '../../support/ssh/key-files.ts'
import { strangeKey } from '../../support/ssh/strange-key.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

const PASSPHRASE = 'canary-phrase-7Wd3'

beforeEach((context) => {
  if (inject('sshd').password === null) context.skip('only root can give the account a password to log in with')
})

async function startWith(more: Partial<Parameters<typeof startStack>[0]> = {}) {
  const { knownHosts, user, port, password } = inject('sshd')
  const env = { MUSTER_ADHOC_HOSTS: '127.0.0.0/8', ...more.env }
  const stack = await startStack({ inventory: '', knownHosts, ...more, env })
  return { stack, host: (address: string) => `${user}@${address}:${port}`, password: password ?? '' }
}

async function ended(stack: Stack, request: Request<'submit_job'>) {
  const { job_id } = await stack.submit(request)
  return { jobId: job_id, ...(await stack.ended(job_id)) }
}

test('a command runs by password, by a key, and by an encrypted key, none of which the worker has', async () => {
  const { stack, host, password } = await startWith()
  const { plain, encrypted, directory } = await keyFiles(PASSPHRASE)
  const words = (address: string, ...flags: string[]) => ['run', ...flags, host(address), '--', 'uname -s']
  const told = (address: string) => `── ${host(address)}: succeeded\n│ Linux\n`
  const byPassword = await musterFed(stack.env, `${password}\n`, ...words('127.0.1.1', '--ask-pass'))
  expect([byPassword.status, byPassword.out.toString()], byPassword.said).toEqual([0, told('127.0.1.1')])
  const byKey = await muster(stack.env, ...words('127.0.1.2', '-i', plain))
  expect([byKey.status, byKey.out.toString()], byKey.said).toEqual([0, told('127.0.1.2')])
  const byBoth = await musterFed(stack.env, `${PASSPHRASE}\n`, ...words('127.0.1.3', '-i', encrypted))
  expect([byBoth.status, byBoth.out.toString()], byBoth.said).toEqual([0, told('127.0.1.3')])

  const wrong = await musterFed(stack.env, 'wrong\n', ...words('127.0.1.4', '-i', encrypted))
  expect(wrong.said + wrong.out.toString()).toContain('the passphrase does not open it')
  const withoutPhrase = await muster(stack.env, ...words('127.0.1.4', '-i', encrypted))
  expect(withoutPhrase.said).toContain('--private-key: no passphrase was given')
  const taken = await muster(stack.env, ...words('127.0.1.4', '-i', encrypted, '--ask-pass'))
  expect(taken.said).toContain('is encrypted, and --ask-pass reads the stdin that would give its passphrase')
  await writeFile(join(directory, 'key.pub'), 'ssh-ed25519 AAAA\n')
  const half = await muster(stack.env, ...words('127.0.1.4', '-i', join(directory, 'key.pub')))
  expect(half.said).toContain('is no private key; a .pub file is the public half')
}, 90_000)

test('the passphrase of a key file on the worker is given with the request, and a refusal says how', async () => {
  const { encrypted, directory } = await keyFiles(PASSPHRASE)
  const { stack, host } = await startWith({
    env: { MUSTER_ADHOC_HOSTS: '127.0.0.0/8', MUSTER_ADHOC_KEY_DIRS: directory },
  })
  const words = (...flags: string[]) => ['run', '--identity-file', encrypted, ...flags, host('127.0.1.1'), '--', 'true']
  const without = await muster(stack.env, ...words())
  const advice = 'no passphrase is given: give connect.passphrase (--ask-passphrase) with the request'
  expect(without.out.toString()).toContain(advice)
  const given = await musterFed(stack.env, `${PASSPHRASE}\n`, ...words('--ask-passphrase'))
  expect(given.status, given.said + given.out.toString()).toBe(0)
}, 60_000)

test('on a terminal both are asked for, one after the other, and neither is shown', async () => {
  const { stack, host, password } = await startWith()
  const { encrypted } = await keyFiles(PASSPHRASE)
  const words = ['run', '-i', encrypted, '--ask-pass', host('127.0.1.8'), '--', 'echo it ran']
  const line = [process.execPath, resolve('apps/cli/bin/muster.js'), ...words].map(shellWord).join(' ')
  const child = spawn('script', ['-qec', line, '/dev/null'], {
    env: apart(stack.env),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let shown = ''
  child.stdout.on('data', (text: Buffer) => {
    shown += text
  })
  const closed = once(child, 'close')
  await expect.poll(() => shown, { timeout: 20_000 }).toContain(`Passphrase of ${encrypted}: `)
  child.stdin.write(`${PASSPHRASE}\r`)
  await expect.poll(() => shown, { timeout: 20_000 }).toContain('Password to log in: ')
  child.stdin.write(`${password}\r`)
  await closed
  expect([child.exitCode, shown]).toEqual([0, expect.stringContaining('it ran')])
  for (const secret of [PASSPHRASE, password]) expect(shown).not.toContain(secret)
}, 60_000)

test('whether a host can be reached is tested with what would log in there', async () => {
  const { stack, host, password } = await startWith()
  const { plain, encrypted } = await keyFiles(PASSPHRASE)
  const byPassword = await musterFed(stack.env, `${password}\n`, 'ping', '--ask-pass', host('127.0.1.1'))
  expect([byPassword.status, byPassword.out.toString()], byPassword.said).toEqual([0, expect.stringContaining(' ok, ')])
  const byKey = await musterFed(stack.env, `${PASSPHRASE}\n`, 'ping', '-i', encrypted, '--json', host('127.0.1.2'))
  expect(JSON.parse(byKey.out.toString()), byKey.said).toMatchObject({ ok: true, exit_code: 0 })
  const path = `/v1/hosts/${encodeURIComponent(host('127.0.1.3'))}/test`
  const private_key = await readFile(plain, 'utf8')
  expect((await stack.ask('POST', path, { connect: { private_key } })).body).toMatchObject({ ok: true })
  const without = await muster(stack.env, 'ping', '--json', host('127.0.1.4'))
  expect([without.status, JSON.parse(without.out.toString())]).toMatchObject([
    4,
    { ok: false, reason: 'auth_failed', exit_code: null },
  ])
}, 60_000)

test('a wrong password is held off by the breaker of the host, and the right one after it is not', async () => {
  const { stack, host, password } = await startWith()
  const end = async (connect: { password: string }) => {
    const { state, problems } = await ended(stack, { targets: host('127.0.1.5'), command: 'true', connect, retries: 0 })
    return [state, problems?.[0]?.reason]
  }
  for (let i = 0; i < 2; i += 1) expect(await end({ password: `not ${password}` })).toEqual(['failed', 'auth_failed'])
  expect(await end({ password: `not ${password}` })).toEqual(['failed', 'breaker_open'])
  // Another one has not been refused, and is tried at once.
  expect(await end({ password: `nor ${password}` })).toEqual(['failed', 'auth_failed'])
  expect(await end({ password: `nor ${password}` })).toEqual(['failed', 'breaker_open'])
  expect(await end({ password })).toEqual(['succeeded', undefined])
}, 60_000)

test('no host of the inventory is offered them, also not to go through', async () => {
  const { user, port, keys } = inject('sshd')
  const strange = join((await keyFiles(PASSPHRASE)).directory, 'strange')
  await writeFile(strange, strangeKey(), { mode: 0o600 })
  const inventory = [
    'hosts:',
    `  own: { address: 127.0.1.1, port: ${port}, user: ${user}, identity_file: ${strange} }`,
    `  way: { address: 127.0.1.2, port: ${port}, user: ${user}, identity_file: ${strange} }`,
    '',
  ].join('\n')
  const { stack, host, password } = await startWith({ inventory })
  const both = await ended(stack, { targets: `own,${host('127.0.1.3')}`, command: 'true', connect: { password } })
  expect(both).toMatchObject({ state: 'partial', problems: [{ hosts: 'own', reason: 'auth_failed' }] })
  const through = { targets: host('127.0.1.4'), connect: { password, jump: 'way' }, command: 'true' }
  const note = 'what the request says to log in with is for the host behind it alone; this one logs in with '
  const refusedBy = (detail: string) => [{ reason: 'jump_failed', detail: expect.stringContaining(note + detail) }]
  expect((await ended(stack, through)).problems).toMatchObject(refusedBy('its credentials in the inventory'))
  const named = { ...through, connect: { password, jump: host('127.0.1.5') } }
  const fitting = 'what fits it in the section "credentials" of the inventory, and, if ~/.ssh is one of'
  expect((await ended(stack, named)).problems).toMatchObject(refusedBy(fitting))
  const alone = await stack.ask('POST', '/v1/jobs', { targets: 'own', connect: { password }, command: 'true' })
  expect(Problem.parse(alone.body).detail).toContain('leave connect out')
  // Another user of its machine is a host that the request names.
  const key = await readFile(keys.ed25519, 'utf8')
  const other = await ended(stack, { targets: 'root@own', connect: { private_key: key }, command: 'true' })
  expect(other).toMatchObject({ state: 'succeeded', targets: 'root@own' })
}, 60_000)

test('what excludes or needs another is refused, and no refusal repeats a secret', async () => {
  const { stack, host } = await startWith()
  const { plain, encrypted } = await keyFiles(PASSPHRASE)
  const [key, locked] = [await readFile(plain, 'utf8'), await readFile(encrypted, 'utf8')]
  const SECRET = 'canary-refused-5Tz1'
  const refused: [unknown, string][] = [
    [{ private_key: key, identity_file: '~/k' }, 'of identity_file, credential and private_key, give one'],
    [{ private_key: key, credential: 'lab' }, 'of identity_file, credential and private_key, give one'],
    [{ password: SECRET, credential: 'lab' }, 'a credential and a password were given'],
    [{ passphrase: SECRET }, 'neither private_key nor identity_file'],
    [{ private_key: locked }, 'the private key is encrypted: give its passphrase too'],
    [{ private_key: SECRET }, 'it is no private key'],
    [{ password: `${SECRET}\n` }, 'it is not one line'],
    [{ password: [SECRET] }, 'expected string; received an array'],
    [JSON.stringify({ password: SECRET }), 'received a text of'],
    [[SECRET], 'received an array'],
  ]
  for (const [connect, text] of refused) {
    const { body } = await stack.ask('POST', '/v1/jobs', { targets: host('127.0.1.1'), command: 'true', connect })
    expect(Problem.parse(body)).toMatchObject({ code: 'invalid_request', detail: expect.stringContaining(text) })
    expect(JSON.stringify(body)).not.toContain(SECRET)
    expect(JSON.stringify(body)).not.toContain(key.split('\n')[2])
  }
}, 60_000)

test('a rerun has them only if they were kept, and is given them otherwise', async () => {
  const { stack, host, password } = await startWith()
  const request = { targets: host('127.0.1.6'), command: 'exit 1', connect: { password } }
  const again = async (jobId: string, body: object = {}) => {
    const answer = await stack.ask('POST', `/v1/jobs/${jobId}/rerun`, body)
    if (answer.status !== 202) return Problem.parse(answer.body)
    const { job_id } = OPERATIONS.rerun_job.output.parse(answer.body)
    return await stack.ended(job_id)
  }
  const lost = await ended(stack, request)
  expect(await again(lost.jobId)).toMatchObject({
    code: 'secrets_not_kept',
    detail: expect.stringContaining('give connect.password with the rerun'),
  })
  const exit = { problems: [{ reason: 'exit_nonzero' }] }
  expect(await again(lost.jobId, { connect: { password } })).toMatchObject(exit)
  const fed = await musterFed(stack.env, `${password}\n`, 'rerun', lost.jobId, '--ask-pass')
  expect(fed.out.toString() + fed.said).toContain('failed, exit code 1')
  const kept = await ended(stack, { ...request, keep_secrets: true })
  expect(await again(kept.jobId)).toMatchObject(exit)
  // A job that was refused without one is run again with one.
  const without = await ended(stack, { ...request, targets: host('127.0.1.7'), connect: {} })
  expect(without.problems).toMatchObject([{ reason: 'auth_failed' }])
  expect(await again(without.jobId, { connect: { password } })).toMatchObject(exit)
}, 60_000)
