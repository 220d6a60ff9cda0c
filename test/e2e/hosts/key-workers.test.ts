/** What a worker does about the key of a job: asks its own inventory for its hosts, starts nothing of a void one. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OPERATIONS, type Request } from '@muster/contract'
import { expect, inject, test } from 'vitest'
import { startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

/** Two hosts, of which those named are in the group web. */
function inventoryWith(web: string): string {
  const { port, user, keys } = inject('sshd')
  return [
    `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`,
    'hosts: { one: { address: 127.0.1.1 }, two: { address: 127.0.1.2 } }',
    `groups: { web: "${web}" }`,
    '',
  ].join('\n')
}

async function stackWithKeys(workers: number) {
  const stack = await startStack({
    inventory: inventoryWith('one,two'),
    knownHosts: inject('sshd').knownHosts,
    workers,
  })
  const makeKey = async (request: Omit<Request<'create_key'>, 'scopes'>) => {
    const scopes = ['jobs:run', 'jobs:read']
    const { body } = await stack.ask('POST', '/v1/keys', { scopes, ...request })
    return OPERATIONS.create_key.output.parse(body)
  }
  const submitWith = async (key: string, body: Request<'submit_job'>) => {
    const response = await fetch(`${stack.url}/v1/jobs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    })
    return OPERATIONS.submit_job.output.parse(await response.json()).job_id
  }
  const revoke = async (keyId: string, body: object = {}) =>
    OPERATIONS.revoke_key.output.parse((await stack.ask('POST', `/v1/keys/${keyId}/revoke`, body)).body)
  return { stack, makeKey, submitWith, revoke, witness: await witnessFile() }
}

test('a host that the key may touch by the server’s inventory, but not by the worker’s, is not reached', async () => {
  const { stack, makeKey, submitWith, witness } = await stackWithKeys(0)
  const { key } = await makeKey({ hosts: '@web' })
  const jobs = [
    await submitWith(key, { targets: 'one,two', command: `echo limited >> ${witness.path}` }),
    (await stack.submit({ targets: 'one,two', command: `echo free >> ${witness.path}` })).job_id,
  ]
  const other = join(stack.dataDir, 'other.yaml')
  await writeFile(other, inventoryWith('one'))
  await stack.startWorker({ MUSTER_INVENTORY: other })
  expect(await stack.ended(jobs[0] ?? '')).toMatchObject({
    state: 'partial',
    counts: { succeeded: 1, skipped: 1 },
    problems: [
      { hosts: 'two', state: 'skipped', reason: 'policy_denied', detail: expect.stringContaining('may not touch two') },
    ],
  })
  expect((await stack.ended(jobs[1] ?? '')).state).toBe('succeeded')
  expect((await witness.lines()).toSorted()).toEqual(['free', 'free', 'limited'])
}, 60_000)

test('what a revoked key and those below it have queued does not start, and what runs has its true end', async () => {
  const { stack, makeKey, submitWith, revoke, witness } = await stackWithKeys(1)
  const { key, record } = await makeKey({ max_concurrency: 1 })
  const until = `until [ -e ${witness.path}.go ]; do sleep 0.1; done`
  const command = `echo began >> ${witness.path}; ${until}; echo ended >> ${witness.path}`
  const running = await submitWith(key, { targets: 'one', command })
  await expect.poll(() => witness.lines(), { timeout: 20_000 }).toEqual(['began'])
  const queued = await submitWith(key, { targets: 'two', command: `echo never >> ${witness.path}` })
  await revoke(record.key_id)
  expect(await stack.ended(queued)).toMatchObject({ state: 'failed', problems: [{ reason: 'key_revoked' }] })
  await writeFile(`${witness.path}.go`, '')
  expect((await stack.ended(running)).state).toBe('succeeded')
  expect(await witness.lines()).toEqual(['began', 'ended'])
}, 60_000)

test('what a revoked key has running is stopped too, when that is asked for', async () => {
  const { stack, makeKey, submitWith, revoke, witness } = await stackWithKeys(1)
  const { key, record } = await makeKey({})
  const others = (await stack.submit({ targets: 'two', command: `echo other >> ${witness.path}; sleep 3` })).job_id
  const running = await submitWith(key, { targets: 'one', command: `echo began >> ${witness.path}; sleep 600` })
  await expect.poll(async () => (await witness.lines()).toSorted(), { timeout: 20_000 }).toEqual(['began', 'other'])
  expect(await revoke(record.key_id, { cancel_jobs: true })).toMatchObject({ jobs_cancelled: 1 })
  expect(await stack.ended(running)).toMatchObject({ state: 'cancelled', counts: { cancelled: 1 } })
  expect((await stack.ended(others)).state).toBe('succeeded')
}, 60_000)
