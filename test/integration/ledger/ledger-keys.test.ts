/** What becomes of jobs whose API key is void, and how a key and those below it share what may be in flight. */
import {
  claimRun,
  dispatchRun,
  findJob,
  findRun,
  finishRun,
  type JobKeyLimits,
  type Ledger,
  reportJob,
  resumeJob,
  startClockwork,
} from '@muster/ledger'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { claim, ended, exited, start } from '../../support/ledger/held-run.ts'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'

const AT_ONCE = { ticketGraceMs: 0, suspectMs: 0, claimNamedMs: 3_600_000 }
const SENT = { connectMs: 5, mode: 'attached' } as const
const VALID = { expires_at: null, revoked_at: null }

async function keepKey(ledger: Ledger, record: object | string, keyId = 'k1'): Promise<void> {
  const text = typeof record === 'string' ? record : JSON.stringify(record)
  await ledger.redis.hset(ledger.keys.apiKeys, keyId, text)
}

/** A ledger with a valid key k1, and a job of it. */
async function jobOfKey(hosts: number, request: Record<string, unknown> = {}) {
  const ledger = await openTestLedger()
  await keepKey(ledger, VALID)
  const jobId = await submitTo(ledger, hosts, request, 'h', { keyId: 'k1' })
  return { ledger, jobId }
}

const ticketOf = (jobId: string, index: number) => ({ job_id: jobId, index, host: `h${index}`, attempt: 1, reissue: 0 })

describe('a job whose key is void', () => {
  test.each([
    ['was revoked', { ...VALID, revoked_at: '2026-01-02T03:04:05.678Z' }],
    ['has expired', { ...VALID, expires_at: '2026-01-02T03:04:05.678Z' }],
    ['has expired on a leap day', { ...VALID, expires_at: '2024-02-29T23:59:59.999Z' }],
    ['has an end that is none', { ...VALID, expires_at: 'soon' }],
    ['cannot be read', '{'],
    ['is another thing', '"valid"'],
    ['is nothing', ''],
  ])('because it %s does not start where it was queued, nor where nothing was released yet', async (_what, record) => {
    const { ledger, jobId } = await jobOfKey(5, { concurrency: 2 })
    await keepKey(ledger, record)
    expect(await claimRun(ledger, ticketOf(jobId, 0), 'w1')).toBeUndefined()
    const job = await findJob(ledger, jobId)
    expect(job).toMatchObject({ state: 'failed', counts: { skipped: 5 } })
    const run = { state: 'skipped', reason: 'key_revoked', remote: 'not_started', safe_to_retry: true }
    for (const host of ['h0', 'h1', 'h4']) expect(await findRun(ledger, jobId, host)).toMatchObject(run)
  })

  test('because it is gone does not start, and ends also where no worker comes', async () => {
    const { ledger, jobId } = await jobOfKey(3, { concurrency: 1 })
    await ledger.redis.hdel(ledger.keys.apiKeys, 'k1')
    await sweep(ledger, AT_ONCE)
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'failed', counts: { skipped: 3 } })
  })

  test('that expires later, by the millisecond of Redis, starts', async () => {
    const { ledger, jobId } = await jobOfKey(1)
    const [seconds] = await ledger.redis.time()
    await keepKey(ledger, { ...VALID, expires_at: new Date((Number(seconds) + 3_600) * 1_000).toISOString() })
    const run = await claim(ledger, jobId, 0)
    expect(await dispatchRun(ledger, run, SENT)).toMatchObject({ word: 'go' })
  })

  test('does not start either when it was claimed before', async () => {
    const { ledger, jobId } = await jobOfKey(1)
    const run = await claim(ledger, jobId, 0)
    await keepKey(ledger, { ...VALID, revoked_at: '2026-01-02T03:04:05Z' })
    expect(await dispatchRun(ledger, run, SENT)).toEqual({ word: 'over', state: 'skipped', reason: 'key_revoked' })
  })

  test('goes on where it runs, and has its true end; no retry follows, and nothing is released after it', async () => {
    const { ledger, jobId } = await jobOfKey(3, { concurrency: 1, retry_on: [75], retries: 2 })
    const run = await start(ledger, jobId, 0)
    await keepKey(ledger, { ...VALID, revoked_at: '2026-01-02T03:04:05Z' })
    await sweep(ledger, AT_ONCE)
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'running', counts: { running: 1, skipped: 2 } })
    expect(await finishRun(ledger, run, exited(75))).toBe('finished')
    expect(await findRun(ledger, jobId, 'h0')).toMatchObject({ state: 'failed', exit_code: 75 })
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'failed', counts: { failed: 1, skipped: 2 } })
  })

  test('is not resumed at its gate', async () => {
    const { ledger, jobId } = await jobOfKey(2, { canary: 1, gate: 'manual' })
    await finishRun(ledger, await start(ledger, jobId, 0), ended())
    expect((await findJob(ledger, jobId))?.state).toBe('paused')
    await keepKey(ledger, { ...VALID, revoked_at: '2026-01-02T03:04:05Z' })
    expect(await resumeJob(ledger, jobId)).toBe('not_paused')
    expect(await reportJob(ledger, jobId)).toMatchObject({ state: 'partial', problems: [{ reason: 'key_revoked' }] })
  })

  test('is not asked for where the job names none, as those of the first version', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    expect(await dispatchRun(ledger, await claim(ledger, jobId, 0), SENT)).toMatchObject({ word: 'go' })
  })
})

const limited = (...shares: JobKeyLimits['shares']): { keyLimits: JobKeyLimits } => ({
  keyLimits: { hosts: [], shares },
})

describe('runs in flight', () => {
  const share = (key_id: string, max_concurrency: number) => ({ key_id, max_concurrency, max_jobs_per_hour: null })

  test('are limited over all jobs of a key and those below it, and each place that becomes free is used', async () => {
    const ledger = await openTestLedger()
    const clockwork = await startClockwork(ledger, () => {})
    onTestFinished(() => clockwork.stop())
    const above = limited(share('above', 3))
    const below = limited(share('above', 3), share('below', 1))
    const jobs = [
      await submitTo(ledger, 2, {}, 'a', above),
      await submitTo(ledger, 2, {}, 'b', below),
      await submitTo(ledger, 4, {}, 'c', above),
    ]
    const queued = async () =>
      await Promise.all(jobs.map(async (jobId) => (await findJob(ledger, jobId))?.counts.queued ?? 0))
    expect(await queued()).toEqual([2, 1, 0])
    let most = 0
    for (let round = 0; round < 8; round += 1) {
      await expect.poll(async () => (await queued()).some((count) => count > 0), { timeout: 20_000 }).toBe(true)
      const counts = await queued()
      most = Math.max(most, counts[1] ?? 0)
      expect(counts.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(3)
      const at = counts.findIndex((count) => count > 0)
      const jobId = jobs[at] ?? ''
      const open = Number((await ledger.redis.smembers(ledger.keys.open(jobId)))[0])
      const run = await claimRun(ledger, { ...ticketOf(jobId, open), host: '' }, 'w1')
      if (run === undefined) throw new Error('the run was not given')
      await finishRun(ledger, run, ended({ state: 'skipped', remote: 'not_started', reason: 'host_disabled' }))
    }
    expect(most).toBe(1)
    for (const jobId of jobs) expect((await findJob(ledger, jobId))?.ended_at).not.toBeNull()
    expect(await ledger.redis.scard(ledger.keys.keyRuns('above'))).toBe(0)
  }, 60_000)
})

describe('a small job of a key', () => {
  test('does not wait until a large one has ended, which has all that the key allows', async () => {
    const ledger = await openTestLedger()
    const clockwork = await startClockwork(ledger, () => {})
    onTestFinished(() => clockwork.stop())
    const key = limited({ key_id: 'k1', max_concurrency: 4, max_jobs_per_hour: null })
    const [large, small] = [await submitTo(ledger, 50, {}, 'h', key), await submitTo(ledger, 1, {}, 'other', key)]
    const countOf = async (jobId: string, state: 'queued' | 'pending') => (await findJob(ledger, jobId))?.counts[state]
    expect([await countOf(large, 'queued'), await countOf(small, 'pending')]).toEqual([4, 1])
    await finishRun(ledger, await start(ledger, large, 0), ended())
    await expect.poll(() => countOf(small, 'queued'), { timeout: 20_000 }).toBe(1)
    expect(await countOf(large, 'queued')).toBe(3)
    const run = await claimRun(ledger, { ...ticketOf(small, 0), host: 'other0' }, 'w1')
    if (run === undefined) throw new Error('the run was not given')
    await finishRun(ledger, run, ended({ state: 'skipped', remote: 'not_started', reason: 'host_disabled' }))
    await expect.poll(() => countOf(large, 'queued'), { timeout: 20_000 }).toBe(4)
    expect(await ledger.redis.smembers(ledger.keys.keyWaiting('k1'))).toEqual([large])
  }, 60_000)
})

describe('jobs within an hour', () => {
  const share = (key_id: string, max_jobs_per_hour: number) => ({ key_id, max_concurrency: null, max_jobs_per_hour })

  test('are limited over a key and those below it, and the refused ones leave nothing', async () => {
    const ledger = await openTestLedger()
    const [above, below] = [limited(share('above', 3)), limited(share('above', 3), share('below', 1))]
    await submitTo(ledger, 1, {}, 'h', above)
    await submitTo(ledger, 1, {}, 'h', below)
    const spent = submitTo(ledger, 1, {}, 'h', below)
    await expect(spent).rejects.toMatchObject({ code: 'rate_limited', details: { retry_after_s: expect.any(Number) } })
    await expect(spent).rejects.toThrow('the API key below, with the keys below it, has submitted its 1 jobs of this')
    await submitTo(ledger, 1, {}, 'h', above)
    await expect(submitTo(ledger, 1, {}, 'h', above)).rejects.toThrow('the API key above, with the keys below it')
    expect(await ledger.redis.zcard(ledger.keys.jobs)).toBe(3)
    // An hour later there is room for the first again.
    const [first = ''] = await ledger.redis.zrange(ledger.keys.keyHour('above'), '0', '0')
    await ledger.redis.zadd(ledger.keys.keyHour('above'), 1, first)
    await submitTo(ledger, 1, {}, 'h', above)
  })

  test('do not count a request that is sent twice under one idempotency key', async () => {
    const ledger = await openTestLedger()
    const once = { idempotency_key: 'deploy' }
    const jobId = await submitTo(ledger, 1, once, 'h', limited(share('k', 1)))
    expect(await submitTo(ledger, 1, once, 'h', limited(share('k', 1)))).toBe(jobId)
  })
})
