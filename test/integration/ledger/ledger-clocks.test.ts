/**
 * Times that the ledger has stored, when Redis' clock is set back by an hour: nothing waits for longer than it was to,
 * as of then. And the turns of the sweep, and tickets that are due, with several processes.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  findRun,
  finishRun,
  handOver,
  type Ledger,
  openBreakers,
  openJumpTurns,
  openLedger,
  startClockwork,
} from '@muster/ledger'
import { Queue } from 'bullmq'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { claim, ended, exited, firstRun, refused, start } from '../../support/ledger/held-run.ts'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'
import { claimIndex, endAs } from '../../support/ledger/ledger-worker.ts'
import { ownRedis } from '../../support/runtime/own-redis.ts'
import { clockToSet, FAKETIME } from '../../support/stack/skewed-clock.ts'

const HOUR_S = 3_600
const AT_ONCE = { ticketGraceMs: 0, suspectMs: 0, claimNamedMs: 0 }
const LEASE_MS = 12_000

/** A ledger in a Redis whose clock can be set. */
async function openSteppedLedger() {
  const clock = await clockToSet(0)
  const redis = await ownRedis(clock.env)
  const ledger = await openLedger({ redisUrl: redis.url, prefix: `test-${randomUUID()}`, role: 'worker' })
  onTestFinished(() => ledger.close())
  return { ledger, setTo: clock.setTo }
}

async function startTestClockwork(ledger: Ledger) {
  const clockwork = await startClockwork(ledger, (error) => {
    throw error
  })
  onTestFinished(() => clockwork.stop())
  return clockwork
}

/** Milliseconds from Redis' time to a time that is stored. */
async function aheadMs({ redis }: Ledger, stored: string | null | undefined) {
  const [seconds] = await redis.time()
  return Number(stored) - Number(seconds) * 1_000
}

describe.skipIf(FAKETIME === undefined)("with libfaketime, when Redis' clock was set back", () => {
  test('a retry comes after its backoff, whoever looks, and comes again if its ticket is lost on the way', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const jobId = await submitTo(ledger, 1, { retries: 1, retry_backoff_s: 2 })
    await finishRun(ledger, await claim(ledger, jobId, 0), refused)
    await startTestClockwork(ledger)
    await setTo(-HOUR_S)
    await expect.poll(() => ledger.tickets.getJob(`${jobId}-0-2`), { timeout: 10_000 }).toBeDefined()
    await ledger.tickets.remove(`${jobId}-0-2`)
    await sweep(ledger, AT_ONCE)
    expect(await ledger.tickets.getJob(`${jobId}-0-2`)).toBeDefined()
  }, 30_000)

  test('a run whose ticket was lost just before gets another', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const retried = await submitTo(ledger, 1, { retries: 1, retry_backoff_s: 0.2 })
    await finishRun(ledger, await claim(ledger, retried, 0), refused)
    const paused = await submitTo(ledger, 2, { batches: [1], batch_pause_s: 0.2 }, 'p')
    const first = await claimIndex(ledger, paused, 0)
    if (first !== undefined) await endAs(ledger, first, 'ok')
    const { stop } = await startTestClockwork(ledger)
    for (const id of [`${retried}-0-2`, `${paused}-1-1`]) {
      await expect.poll(() => ledger.tickets.getJob(id), { timeout: 10_000 }).toBeDefined()
      await ledger.tickets.remove(id)
    }
    stop()
    await setTo(-HOUR_S)
    await sweep(ledger, AT_ONCE)
    for (const id of [`${retried}-0-2`, `${paused}-1-1`]) expect(await ledger.tickets.getJob(id)).toBeDefined()
  }, 30_000)

  test('while no process was there, the first one that starts sees to it', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const jobId = await submitTo(ledger, 1, { retries: 1, retry_backoff_s: 2 })
    await finishRun(ledger, await claim(ledger, jobId, 0), refused)
    await setTo(-HOUR_S)
    await startTestClockwork(ledger)
    await expect.poll(async () => aheadMs(ledger, await retryAt(ledger, jobId)), { timeout: 5_000 }).toBeLessThan(3_000)
    await expect.poll(() => ledger.tickets.getJob(`${jobId}-0-2`), { timeout: 10_000 }).toBeDefined()
  }, 30_000)

  test('a lease lasts no longer than a lease', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const jobId = await submitTo(ledger, 1)
    await start(ledger, jobId, 0)
    const lease = ledger.keys.worker('w1')
    await ledger.redis.pexpire(lease, LEASE_MS)
    await setTo(-HOUR_S)
    await expect.poll(() => ledger.redis.pttl(lease)).toBeGreaterThan(LEASE_MS)
    await sweep(ledger, AT_ONCE)
    expect(await ledger.redis.pttl(lease)).toBeLessThanOrEqual(LEASE_MS)
    await ledger.redis.del(lease)
    await ledger.redis.set(ledger.keys.suspect('w1'), Date.now(), 'PX', 600_000)
    await sweep(ledger, { ...AT_ONCE, suspectMs: 1 })
    await expect
      .poll(async () => {
        await sweep(ledger, { ...AT_ONCE, suspectMs: 1 })
        return (await firstRun(ledger, jobId)).state
      })
      .toBe('lost')
  }, 30_000)

  test('the clocks of a job have no longer to run than they were given, during a pause too', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const clocks = { start_deadline_s: 100, job_timeout_s: 1_000 }
    const jobId = await submitTo(ledger, 1, clocks)
    const inPause = await submitTo(ledger, 2, { ...clocks, batches: [1], batch_pause_s: 50 }, 'p')
    const first = await claimIndex(ledger, inPause, 0)
    if (first !== undefined) await endAs(ledger, first, 'ok')
    await setTo(-HOUR_S)
    await sweep(ledger, AT_ONCE)
    const left = async (id: string, field: string) =>
      aheadMs(ledger, await ledger.redis.hget(ledger.keys.job(id), field))
    for (const id of [jobId, inPause]) expect(await left(id, 'job_deadline')).toBeLessThanOrEqual(1_001_000)
    expect(await left(jobId, 'start_deadline')).toBeLessThanOrEqual(101_000)
    expect(await left(inPause, 'start_deadline')).toBeLessThanOrEqual(151_000)
    expect(await left(inPause, 'batch_due')).toBeLessThanOrEqual(51_000)
  }, 30_000)

  test('a ticket after a pause that was on its way comes too early, and comes again', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const jobId = await submitTo(ledger, 2, { batches: [1], batch_pause_s: 50 })
    const first = await claimIndex(ledger, jobId, 0)
    if (first !== undefined) await endAs(ledger, first, 'ok')
    await ledger.redis.del(ledger.keys.due)
    await setTo(-HOUR_S)
    expect(await claimIndex(ledger, jobId, 1)).toBeUndefined()
    const [, due] = await ledger.redis.zrange(ledger.keys.due, '0', '-1', 'WITHSCORES')
    expect(await aheadMs(ledger, due)).toBeLessThanOrEqual(51_000)
  }, 30_000)

  test('a run that waits, and whose ticket is lost, gets another', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const jobId = await submitTo(ledger, 1)
    await ledger.tickets.remove(`${jobId}-0-1`)
    await setTo(-HOUR_S)
    await sweep(ledger, { ...AT_ONCE, ticketGraceMs: 60_000 })
    expect(await ledger.tickets.getJob(`${jobId}-0-1`)).toBeDefined()
  }, 30_000)

  test('the turns of a dead worker at a jump host come free', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const dead = openJumpTurns(ledger, 'w1')
    for (let i = 0; i < 8; i += 1) await dead.take('jump', AbortSignal.timeout(5_000))
    dead.close()
    await setTo(-HOUR_S)
    const alive = openJumpTurns(ledger, 'w2')
    onTestFinished(() => alive.close())
    await alive.take('jump', AbortSignal.timeout(20_000))
  }, 30_000)

  test('a breaker does not stay open for longer, and opens again', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const refuse = async (jobId: string) => endAs(ledger, await claim(ledger, jobId, 0), 'denied')
    for (let i = 0; i < 2; i += 1) await refuse(await submitTo(ledger, 1, { retries: 0 }))
    const barred = await submitTo(ledger, 1)
    expect(await claimIndex(ledger, barred, 0)).toBeUndefined()
    expect((await openBreakers(ledger)).size).toBe(1)
    await setTo(-HOUR_S)
    expect((await openBreakers(ledger)).size).toBe(0)
    await refuse(await submitTo(ledger, 1, { retries: 0 }))
    expect(await claimIndex(ledger, await submitTo(ledger, 1), 0)).toBeUndefined()
  }, 30_000)

  test('a durable run that no worker takes gets as long as it may take, and its times stay in order', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const jobId = await submitTo(ledger, 3, { durable: true })
    const durable = await start(ledger, jobId, 0, 'durable')
    const short = await start(ledger, jobId, 1)
    await handOver(ledger, await start(ledger, jobId, 2, 'durable'))
    await setTo(-HOUR_S)
    expect((await claim(ledger, jobId, 2, 'w2')).startedAgoMs).toBe(0)
    await ledger.redis.del(ledger.keys.worker('w1'))
    await sweep(ledger, AT_ONCE)
    expect(await aheadMs(ledger, await ledger.redis.hget(ledger.keys.run(jobId, 0), 'started'))).toBeLessThan(1_000)
    expect((await claim(ledger, jobId, 0, 'w2')).startedAgoMs).toBeLessThan(60_000)
    expect(await finishRun(ledger, durable, exited(1))).toBe('fenced')
    expect(await finishRun(ledger, short, ended())).toBe('fenced')
  }, 30_000)

  test('a command that began before and ended after has taken no negative time', async () => {
    const { ledger, setTo } = await openSteppedLedger()
    const jobId = await submitTo(ledger, 1)
    const held = await start(ledger, jobId, 0)
    await setTo(-HOUR_S)
    await finishRun(ledger, held, ended())
    expect(await findRun(ledger, jobId, 'h0')).toMatchObject({ state: 'succeeded', duration_ms: 0 })
  }, 30_000)
})

async function retryAt({ redis, keys }: Ledger, jobId: string) {
  return redis.hget(keys.run(jobId, 0), 'retry_at')
}

describe('a ticket', () => {
  test('that is to wait is issued when it is due, once, though several processes look', async () => {
    const ledger = await openTestLedger()
    for (let i = 0; i < 3; i += 1) await startTestClockwork(ledger)
    const jobId = await submitTo(ledger, 3, { retries: 1, retry_backoff_s: 1 })
    await ledger.tickets.drain()
    for (const index of [0, 1, 2]) await finishRun(ledger, await claim(ledger, jobId, index), refused)
    expect(await ledger.tickets.count()).toBe(0)
    await expect.poll(() => ledger.tickets.count(), { timeout: 10_000 }).toBe(3)
    expect(await ledger.redis.exists(ledger.keys.due)).toBe(0)
    const ids = (await ledger.tickets.getWaiting()).map(({ id }) => id).sort()
    expect(ids).toEqual([0, 1, 2].map((index) => `${jobId}-${index}-2`))
  }, 30_000)

  test('that is to wait is not issued before by the sweep', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1, { retries: 1, retry_backoff_s: 600 })
    await finishRun(ledger, await claim(ledger, jobId, 0), refused)
    await sweep(ledger, AT_ONCE)
    expect(await ledger.tickets.getJob(`${jobId}-0-2`)).toBeUndefined()
  })

  test('that an older Muster delayed, by another clock, is delivered when it is due', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1, { retries: 1, retry_backoff_s: 600 })
    await finishRun(ledger, await claim(ledger, jobId, 0), refused)
    const id = `${jobId}-0-2`
    await ledger.tickets.add('h0', {}, { jobId: id, delay: HOUR_S * 1_000 })
    await sweep(ledger, AT_ONCE)
    expect(await ledger.tickets.getJobState(id)).toBe('delayed')
    await ledger.redis.hset(ledger.keys.run(jobId, 0), 'retry_at', 1)
    await sweep(ledger, AT_ONCE)
    expect(await ledger.tickets.getJobState(id)).toBe('waiting')
  })

  test('of a run that was cancelled meanwhile is not issued', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1, { retries: 1, retry_backoff_s: 1 })
    await finishRun(ledger, await claim(ledger, jobId, 0), refused)
    await ledger.redis.hset(ledger.keys.run(jobId, 0), 'attempt', 3)
    await startTestClockwork(ledger)
    await expect.poll(() => ledger.redis.exists(ledger.keys.due), { timeout: 10_000 }).toBe(0)
    expect(await ledger.tickets.getJob(`${jobId}-0-2`)).toBeUndefined()
  }, 30_000)

  test('a ticket that a worker took and died with is issued beside, without waiting for its lock', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    const { redis, keys } = ledger
    // What BullMQ does when a worker takes it.
    await redis.lmove(`${keys.base}:tickets:wait`, `${keys.base}:tickets:active`, 'RIGHT', 'LEFT')
    await redis.set(`${keys.base}:tickets:${jobId}-0-1:lock`, 'dead', 'PX', 3_600_000)
    await sweep(ledger, AT_ONCE)
    await sweep(ledger, AT_ONCE)
    expect((await ledger.tickets.getWaiting()).map(({ id }) => id)).toEqual([`${jobId}-0-1-again`])
  })
})

describe('the sweep', () => {
  test('is the turn of one process at a time, and of the next within seconds when that one dies', async () => {
    const ledger = await openTestLedger()
    const { redis, keys } = ledger
    const jobId = await submitTo(ledger, 1, { start_deadline_s: 0.1 })
    // Another process gives signs that it sweeps.
    const sign = async () => redis.set(keys.sweepTurn, Number((await redis.time())[0]) * 1_000)
    await sign()
    const signs = setInterval(() => void sign(), 500)
    onTestFinished(() => clearInterval(signs))
    await startTestClockwork(ledger)
    await sleep(1_500)
    expect((await firstRun(ledger, jobId)).state).toBe('queued')
    clearInterval(signs)
    await expect.poll(async () => (await firstRun(ledger, jobId)).state, { timeout: 9_000 }).toBe('skipped')
  }, 30_000)

  test('of a turn from the future is taken over', async () => {
    const ledger = await openTestLedger()
    await ledger.redis.set(ledger.keys.sweepTurn, Date.now() + 3_600_000)
    const jobId = await submitTo(ledger, 1, { start_deadline_s: 0.1 })
    await startTestClockwork(ledger)
    await expect.poll(async () => (await firstRun(ledger, jobId)).state, { timeout: 9_000 }).toBe('skipped')
  }, 30_000)

  test('leaves nothing of the scheduler that an older Muster kept it in', async () => {
    const ledger = await openTestLedger()
    const { redis, keys } = ledger
    const queue = new Queue('sweep', { connection: redis, prefix: keys.base })
    await queue.upsertJobScheduler('sweep', { every: 5_000 }, { name: 'sweep' })
    await queue.close()
    expect(await redis.keys(`${keys.base}:sweep:*`)).not.toEqual([])
    await startTestClockwork(ledger)
    expect(await redis.keys(`${keys.base}:sweep:*`)).toEqual([])
  })

  test('and tickets that are due go on in a Redis that is full', async () => {
    const { url } = await ownRedis()
    const ledger = await openLedger({ redisUrl: url, role: 'worker' })
    onTestFinished(() => ledger.close())
    const { redis, keys } = ledger
    const jobId = await submitTo(ledger, 1, { retries: 1, retry_backoff_s: 600 })
    await finishRun(ledger, await claim(ledger, jobId, 0), refused)
    await redis.zadd(keys.due, Date.now() + 7_200_000, `${jobId}:0:2:100`)
    await redis.config('SET', 'maxmemory', '1')
    await expect(redis.set('anything', 1)).rejects.toThrow('OOM')
    const clockwork = await startClockwork(ledger, () => {})
    onTestFinished(() => clockwork.stop())
    await expect.poll(() => redis.zcard(keys.due), { timeout: 9_000 }).toBe(1)
    await expect.poll(() => redis.exists(keys.sweepTurn), { timeout: 9_000 }).toBe(1)
  }, 30_000)
})
