/**
 * A reply of Redis that is lost: the step was taken, the client sends it again, and the second time changes nothing.
 */
import { randomUUID } from 'node:crypto'
import { claimRun, dispatchRun, findJob, findRun, finishRun, type Ledger, listRuns, openLedger } from '@muster/ledger'
import { expect, onTestFinished, test } from 'vitest'
import { ended } from '../../support/ledger/held-run.ts'
import { submitTo } from '../../support/ledger/ledger.ts'
import { type CuttingProxy, startCuttingProxy } from '../../support/runtime/cutting-proxy.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'

const SENT = { connectMs: 5, mode: 'attached' } as const

async function openThroughProxy(): Promise<{ ledger: Ledger; proxy: CuttingProxy }> {
  const proxy = await startCuttingProxy(sharedRedisUrl())
  const ledger = await openLedger({ redisUrl: proxy.url, prefix: `test-${randomUUID()}`, role: 'worker' })
  onTestFinished(() => ledger.close())
  return { ledger, proxy }
}

const succeeded = ended()

test('a claim whose reply was lost is still a claim', async () => {
  const { ledger, proxy } = await openThroughProxy()
  const jobId = await submitTo(ledger, 1)
  // The script must be known before, so that the lost reply is that of the claim itself.
  await claimRun(ledger, { job_id: jobId, index: 9, host: 'none', attempt: 1, reissue: 0 }, 'w1')
  proxy.loseNextReply()
  const claim = await claimRun(ledger, { job_id: jobId, index: 0, host: 'h0', attempt: 1, reissue: 0 }, 'w1')
  expect(proxy.lost()).toBe(1)
  expect(claim).toMatchObject({ index: 0, epoch: 1 })
  // The same worker asking again, as after a second delivery, gets nothing.
  expect(await claimRun(ledger, { job_id: jobId, index: 0, host: 'h0', attempt: 1, reissue: 0 }, 'w1')).toBeUndefined()
})

test('a dispatch mark and an end whose replies were lost hold, and the counts move once', async () => {
  const { ledger, proxy } = await openThroughProxy()
  const jobId = await submitTo(ledger, 3, { concurrency: 1 })
  await ledger.redis.set(ledger.keys.worker('w1'), 1)
  const claim = await claimRun(ledger, { job_id: jobId, index: 0, host: 'h0', attempt: 1, reissue: 0 }, 'w1')
  if (claim === undefined) throw new Error('the run could not be claimed')
  expect(await dispatchRun(ledger, { ...claim, index: 9 }, SENT)).toMatchObject({ word: 'fenced' })
  proxy.loseNextReply()
  expect(await dispatchRun(ledger, claim, SENT)).toMatchObject({ word: 'go' })
  expect(await finishRun(ledger, { ...claim, index: 9 }, succeeded)).toBe('fenced')
  proxy.loseNextReply()
  await finishRun(ledger, claim, succeeded)
  expect(proxy.lost()).toBe(2)
  expect((await findRun(ledger, jobId, 'h0'))?.state).toBe('succeeded')
  expect((await findJob(ledger, jobId))?.counts).toMatchObject({ succeeded: 1, queued: 1, pending: 1, running: 0 })
})

test('a job whose acceptance was not heard is there once, with each host once', async () => {
  const { ledger, proxy } = await openThroughProxy()
  await submitTo(ledger, 1)
  proxy.loseNextReply()
  const jobId = await submitTo(ledger, 4)
  proxy.loseNextReply()
  const withKey = await submitTo(ledger, 4, { idempotency_key: 'k' })
  expect(proxy.lost()).toBe(2)
  for (const id of [jobId, withKey]) {
    const page = await listRuns(ledger, id, { limit: 100 })
    expect(page?.runs.map(({ host }) => host)).toEqual(['h0', 'h1', 'h2', 'h3'])
    expect((await findJob(ledger, id))?.counts).toMatchObject({ queued: 4, pending: 0 })
    expect(await ledger.tickets.getJob(`${id}-3-1`)).toBeDefined()
  }
})
