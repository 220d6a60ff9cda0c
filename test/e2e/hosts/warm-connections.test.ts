/** What a worker keeps of a connection when a run has ended, from outside: the host tells which one it was. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Run } from '@muster/contract'
import { expect, inject, onTestFinished, test } from 'vitest'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

/** The line that a run came over, as its host sees it. */
async function lineOf(stack: Stack, request: { durable?: boolean } = {}) {
  const job = await stack.submit({ targets: 'web01', command: 'echo "line $SSH_CONNECTION"', ...request })
  expect((await stack.ended(job.job_id)).state).toBe('succeeded')
  const { body } = await stack.ask('GET', `/v1/jobs/${job.job_id}/runs/web01/output?stream=stdout`)
  return /line [\d. ]+/.exec(JSON.stringify(body))?.[0]
}

test('jobs on the same host go over one connection, durable ones too', async () => {
  const stack = await startStack(fleetFiles(1))
  const line = await lineOf(stack)
  expect(line).toMatch(/^line 127/)
  expect(await lineOf(stack)).toBe(line)
  expect(await lineOf(stack, { durable: true })).toBe(line)
  expect(await lineOf(stack)).toBe(line)
}, 60_000)

test('a run over a warm connection, or one that was refused, tells what it reached', async () => {
  const files = fleetFiles(2)
  const { knownHosts } = inject('sshd')
  const known = knownHosts.replaceAll('127.0.*', '127.0.1.1')
  const stack = await startStack({ ...files, knownHosts: known })
  const reachedBy = async (host: string) => {
    const job = await stack.ended((await stack.submit({ targets: host, command: 'true' })).job_id)
    const { body } = await stack.ask('GET', `/v1/jobs/${job.job_id}/runs/${host}`)
    return Run.parse(body)
  }
  const { reached: first } = await reachedBy('web01')
  expect(first).toMatchObject({ address: '127.0.1.1', credentials: [{ kind: 'key' }] })
  expect((await reachedBy('web01')).reached).toEqual(first)
  const refused = await reachedBy('web02')
  expect(refused).toMatchObject({ reason: 'host_key_unknown', reached: { address: '127.0.1.2', credentials: [] } })
  expect(refused.reached?.host_key).toBe(first?.host_key)
}, 60_000)

test('after a command that was killed, or left something behind, the next job gets a new connection', async () => {
  const stack = await startStack(fleetFiles(1))
  for (const changes of [
    { command: 'sleep 60', exec_timeout_s: 0.5, kill_grace_s: 0.5 },
    { command: 'sleep 8 & echo left' },
  ]) {
    const line = await lineOf(stack)
    await stack.ended((await stack.submit({ targets: 'web01', ...changes })).job_id)
    expect(await lineOf(stack)).not.toBe(line)
  }
}, 60_000)

test('a key file, or known hosts, that were replaced count from the next job on, open connection or not', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'muster-keys-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const { keys } = inject('sshd')
  const key = join(directory, 'key')
  await copyFile(keys.ed25519, key)
  const files = fleetFiles(2)
  const stack = await startStack({ ...files, inventory: files.inventory.replace(keys.ed25519, key) })
  const comesTo = async (host: string) => {
    const job = await stack.ended((await stack.submit({ targets: host, command: 'true' })).job_id)
    const { body } = await stack.ask('GET', `/v1/jobs/${job.job_id}/runs/${host}`)
    return /"reason":"?(\w+)/.exec(JSON.stringify(body))?.[1]
  }
  expect(await comesTo('web01')).toBe('null')
  expect(await comesTo('web02')).toBe('null')
  await writeFile(key, 'no key at all')
  expect(await comesTo('web01')).toBe('auth_failed')
  await writeFile(key, await readFile(keys.ed25519))
  expect(await comesTo('web01')).toBe('null')
  await rm(key)
  expect(await comesTo('web02')).toBe('auth_failed')
  await copyFile(keys.ed25519, key)
  expect(await comesTo('web02')).toBe('null')
  await writeFile(join(stack.dataDir, 'known_hosts'), '')
  expect(await comesTo('web01')).toBe('host_key_unknown')
  await writeFile(join(stack.dataDir, 'known_hosts'), files.knownHosts)
  expect(await comesTo('web01')).toBe('null')
}, 60_000)
