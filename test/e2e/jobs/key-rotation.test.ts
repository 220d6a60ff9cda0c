/** Keys of servers and workers are rotated and dropped while a whole Muster runs. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '@muster/runtime'
import { dropOldKeys, rotateKeys, SERVER_KEYS, WORKER_KEYS } from '@muster/trust'
import { expect, test } from 'vitest'
import { refusedRun } from '../../support/stack/redis-writer.ts'
import { runOf, startForSecrets } from '../../support/stack/secret-stack.ts'
import { anHourLater } from '../../support/trust/key-age.ts'

const REQUEST = { targets: 'h1', command: 'true' }

test('workers with the key file of 0.2 sign ends from the first rotation on, and nobody is started again', async () => {
  const stack = await startForSecrets({ workers: 0, env: { MUSTER_PORT: String(await freePort()) } })
  for (const name of ['worker-keys.json', 'worker-keys.pub.json']) {
    const { keys } = JSON.parse(await readFile(join(stack.dataDir, name), 'utf8'))
    await writeFile(join(stack.dataDir, name), JSON.stringify({ keys: keys.slice(0, 1) }))
  }
  await stack.restartServer()
  await stack.startWorker()
  const vouchedBy = async () => {
    const { job_id: jobId } = await stack.submit(REQUEST)
    expect(await stack.ended(jobId)).toMatchObject({ state: 'succeeded' })
    return (await runOf(stack, jobId)).vouched_by
  }
  expect(await vouchedBy()).toBeNull()
  await rotateKeys(WORKER_KEYS, stack.dataDir)
  await expect.poll(vouchedBy, { timeout: 20_000 }).toBe('worker')
}, 60_000)

test('a rotation of the keys of servers is seen by nobody, and what a dropped key signed is refused', async () => {
  const stack = await startForSecrets({ workers: 0, env: { MUSTER_PORT: String(await freePort()) } })
  const before = await stack.submit(REQUEST)
  await rotateKeys(SERVER_KEYS, stack.dataDir)
  await anHourLater(join(stack.dataDir, 'server-keys.json'))
  // Records of API keys get a MAC by the new key.
  await stack.restartServer()
  const after = await stack.submit(REQUEST)
  const worker = await stack.startWorker()
  for (const { job_id: jobId } of [before, after]) {
    expect(await stack.ended(jobId)).toMatchObject({ state: 'succeeded' })
  }
  await worker.stop()
  const late = await stack.submit(REQUEST)
  await rotateKeys(SERVER_KEYS, stack.dataDir)
  await anHourLater(join(stack.dataDir, 'server-keys.json'))
  await stack.restartServer()
  await dropOldKeys(SERVER_KEYS, stack.dataDir)
  await stack.startWorker()
  await stack.ended(late.job_id)
  const words = /^it is signed with the key \S+, and this worker knows \S+$/
  expect(await runOf(stack, late.job_id)).toMatchObject(refusedRun(expect.stringMatching(words)))
  const next = await stack.submit(REQUEST)
  expect(await stack.ended(next.job_id)).toMatchObject({ state: 'succeeded' })
}, 90_000)
