/** A breaker for log-ins holds off what was refused: another credential, or other known hosts, are tried at once. */
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OPERATIONS } from '@muster/contract'
import { expect, inject, test } from 'vitest'
import { strangeKey } from '../../support/ssh/strange-key.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

/** Runs `true` on the host; answers how that ended and why. */
async function endOn(stack: Stack, more: Record<string, unknown> = {}): Promise<unknown[]> {
  const { job_id } = await stack.submit({ targets: 'web01', command: 'true', ...more })
  await stack.ended(job_id)
  const [run] = OPERATIONS.list_runs.output.parse((await stack.ask('GET', `/v1/jobs/${job_id}/runs`)).body).runs
  return [run?.state, run?.reason]
}

const BARRED = ['skipped', 'breaker_open']
const REFUSED = ['unreachable', 'auth_failed']
const WELL = ['succeeded', null]

/** A Muster whose only host logs in with the credential in this file, and has refused it twice. */
async function startRefused(field: string, wrong: string, workers = 1) {
  const { port, user, knownHosts } = inject('sshd')
  const inventory = `hosts:\n  web01: { address: 127.0.1.1, port: ${port}, user: ${user}, ${field}: login }\n`
  const stack = await startStack({ inventory, knownHosts, workers: 0 })
  const file = join(stack.dataDir, 'login')
  await writeFile(stack.env.MUSTER_INVENTORY ?? '', inventory.replace('login }', `${file} }`))
  await writeFile(file, wrong, { mode: 0o600 })
  for (let i = 0; i < workers; i += 1) await stack.startWorker()
  for (let i = 0; i < 2; i += 1) expect(await endOn(stack)).toEqual(REFUSED)
  expect(await endOn(stack), 'the same credential stays barred').toEqual(BARRED)
  return { stack, file }
}

test('another key is tried at once, and when it is refused as well, it is barred too', async () => {
  const { stack, file } = await startRefused('identity_file', strangeKey())
  await writeFile(file, strangeKey())
  expect(await endOn(stack)).toEqual(REFUSED)
  expect(await endOn(stack)).toEqual(BARRED)
  await copyFile(inject('sshd').keys.ed25519, file)
  expect(await endOn(stack)).toEqual(WELL)
  expect(await endOn(stack)).toEqual(WELL)
}, 60_000)

test.skipIf(inject('sshd').password === null)(
  'another password is tried at once',
  async () => {
    const { stack, file } = await startRefused('password_file', 'wrong-horse\n')
    await writeFile(file, inject('sshd').password ?? '')
    expect(await endOn(stack)).toEqual(WELL)
  },
  60_000,
)

test('other known hosts are tried at once', async () => {
  const { stack } = await startRefused('identity_file', strangeKey())
  const { port, hostKeys, knownHosts } = inject('sshd')
  await writeFile(
    join(stack.dataDir, 'known_hosts'),
    `${knownHosts}[127.0.9.9]:${port} ssh-rsa ${hostKeys['ssh-rsa']}\n`,
  )
  expect(await endOn(stack), 'a line for another host changes nothing').toEqual(BARRED)
  await writeFile(join(stack.dataDir, 'known_hosts'), `[127.0.1.1]:${port} ssh-rsa ${hostKeys['ssh-rsa']}\n`)
  expect(await endOn(stack)).toEqual(REFUSED)
}, 60_000)

test('another address is tried at once, where nothing listened', async () => {
  const { port, user, keys, knownHosts } = inject('sshd')
  const inventory = `hosts:\n  web01: { address: 127.0.1.1, port: 1, user: ${user}, identity_file: ${keys.ed25519} }\n`
  const stack = await startStack({ inventory, knownHosts })
  expect(await endOn(stack, { retries: 9, retry_backoff_s: 0 })).toEqual(['unreachable', 'conn_refused'])
  expect(await endOn(stack)).toEqual(BARRED)
  await writeFile(stack.env.MUSTER_INVENTORY ?? '', inventory.replace('port: 1', `port: ${port}`))
  await expect.poll(() => endOn(stack), { timeout: 20_000 }).toEqual(WELL)
}, 60_000)
