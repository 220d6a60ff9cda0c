/** What becomes of the runs of a worker that lost its lease or goes: given up, lost, handed over, fenced off. */
import {
  appendOutput,
  claimRun,
  dispatchRun,
  findJob,
  finishRun,
  handOver,
  holdsClaim,
  reportJob,
  startHeartbeat,
} from '@muster/ledger'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { claim, ended, exited, firstRun, start } from '../../support/ledger/held-run.ts'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'

const AT_ONCE = { ticketGraceMs: 0, suspectMs: 0, claimNamedMs: 3_600_000 }
const SENT = { connectMs: 5, mode: 'attached' } as const

describe('a worker that lost its lease', () => {
  test('is given up at the second look, and what it ran is lost; nothing it says later changes that', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    const claimed = await start(ledger, jobId, 0)
    await ledger.redis.del(ledger.keys.worker('w1'))
    await sweep(ledger, { ...AT_ONCE, suspectMs: 60_000, claimNamedMs: 3_600_000 })
    expect((await firstRun(ledger, jobId)).state).toBe('running')
    await sweep(ledger, AT_ONCE)
    expect(await firstRun(ledger, jobId)).toMatchObject({ state: 'lost', reason: 'worker_lost', remote: 'unknown' })

    expect(await holdsClaim(ledger, claimed)).toBe(false)
    const part = { stream: 'stdout', side: 'head', offset: 0, bytes: Buffer.from('x') } as const
    expect(await appendOutput(ledger, claimed, part)).toBe('fenced')
    expect(await finishRun(ledger, claimed, exited(3))).toBe('fenced')
    const run = await firstRun(ledger, jobId)
    expect(run).toMatchObject({ state: 'lost', exit_code: null, stdout: { bytes: 0 } })
    expect(run.late_result).toMatchObject({ state: 'failed', remote: 'ended', exit_code: 3, worker: 'w1' })
    const told = 'a result came too late and changes nothing: failed, exit_nonzero, exit code 3'
    expect((await reportJob(ledger, jobId))?.notices).toEqual([{ notice: told, hosts: 'h0', count: 1 }])
    // The first late result stays.
    await finishRun(ledger, claimed, ended())
    expect((await firstRun(ledger, jobId)).late_result).toMatchObject({ state: 'failed' })
  })

  test('or lives, but does not know of a run that is said to be its own, loses that run and no other', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 3)
    const claims = [await start(ledger, jobId, 0), await start(ledger, jobId, 1), await claim(ledger, jobId, 2)]
    const known = claims.slice(0, 1)
    const lease = await startHeartbeat(ledger, 'w1', {
      onError: () => {},
      onLapse: () => {},
      claims: () => known,
      places: 200,
    })
    onTestFinished(() => lease.stop())
    await sweep(ledger, { ...AT_ONCE, claimNamedMs: 60_000 })
    expect((await findJob(ledger, jobId))?.counts).toMatchObject({ running: 2, connecting: 1 })
    await sweep(ledger, { ...AT_ONCE, claimNamedMs: 0 })
    expect((await findJob(ledger, jobId))?.counts).toMatchObject({ running: 1, lost: 1, queued: 1 })
    expect((await firstRun(ledger, jobId)).state).toBe('running')
  })

  test('may not start a command, though nobody has taken the run away yet', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    const claimed = await claim(ledger, jobId, 0)
    await ledger.redis.del(ledger.keys.worker('w1'))
    expect(await dispatchRun(ledger, claimed, SENT)).toEqual({ word: 'no_lease' })
    expect((await firstRun(ledger, jobId)).remote).toBe('not_started')
  }, 15_000)

  test('waits until its lease is renewed, before it starts a command', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    const claimed = await claim(ledger, jobId, 0)
    await ledger.redis.del(ledger.keys.worker('w1'))
    const answer = dispatchRun(ledger, claimed, SENT)
    const options = { onError: () => {}, onLapse: () => {}, claims: () => [claimed], places: 1 }
    const lease = await startHeartbeat(ledger, 'w1', options)
    onTestFinished(() => lease.stop())
    expect(await answer).toMatchObject({ word: 'go' })
  })

  test('is told until when it may send the command that it marked', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    const claimed = await claim(ledger, jobId, 0)
    await ledger.redis.set(ledger.keys.worker('w1'), 1, 'PX', 60_000)
    const beforeMs = performance.now()
    const answer = await dispatchRun(ledger, claimed, SENT)
    if (answer.word !== 'go') throw new Error('the worker lost its lease')
    expect(answer.sendBeforeMs).toBeGreaterThan(beforeMs)
    expect(answer.sendBeforeMs).toBeLessThanOrEqual(performance.now() + 60_000)
  })

  test('hears of it when it takes the lease again', async () => {
    const ledger = await openTestLedger()
    let lapses = 0
    const onLapse = () => {
      lapses += 1
    }
    const lease = await startHeartbeat(ledger, 'w9', { onError: () => {}, onLapse, claims: () => [], places: 200 })
    onTestFinished(() => lease.stop())
    expect(lapses).toBe(0)
    await ledger.redis.del(ledger.keys.worker('w9'))
    await expect.poll(() => lapses, { timeout: 10_000 }).toBe(1)
    expect(await ledger.redis.exists(ledger.keys.worker('w9'))).toBe(1)
  })
})

describe('a durable run', () => {
  test('whose worker died is taken by another, which attaches; the dead one is fenced off', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1, { durable: true })
    const old = await start(ledger, jobId, 0, 'durable')
    await ledger.redis.del(ledger.keys.worker('w1'))
    await sweep(ledger, AT_ONCE)
    expect(await firstRun(ledger, jobId)).toMatchObject({ state: 'running', worker: null, mode: 'durable' })
    expect(await ledger.tickets.getJob(`${jobId}-0-1-1`)).toBeDefined()
    // The ticket of before is of no use any more, to nobody.
    const oldTicket = { job_id: jobId, index: 0, host: 'h0', attempt: 1, reissue: 0 }
    expect(await claimRun(ledger, oldTicket, 'w2')).toBeUndefined()
    const next = await claim(ledger, jobId, 0, 'w2')
    expect(next.startedAgoMs).toBeGreaterThanOrEqual(0)
    expect(await finishRun(ledger, old, exited(9))).toBe('fenced')
    expect(await finishRun(ledger, next, ended())).toBe('finished')
    expect(await firstRun(ledger, jobId)).toMatchObject({ state: 'succeeded', worker: 'w2', attempt: 1 })
  })

  test('is handed over by a worker that has to go', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2)
    const durable = await start(ledger, jobId, 0, 'durable')
    expect(await handOver(ledger, durable)).toBe(true)
    expect(await handOver(ledger, durable)).toBe(false)
    expect((await claim(ledger, jobId, 0, 'w2')).startedAgoMs).toBeDefined()
    // One that is not durable cannot be: nobody could attach to it.
    expect(await handOver(ledger, await start(ledger, jobId, 1))).toBe(false)
  })

  test('a durable run that no worker takes gets its ticket again, and is lost once nobody waits for it', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    await handOver(ledger, await start(ledger, jobId, 0, 'durable'))
    await ledger.tickets.remove(`${jobId}-0-1-1`)
    await sweep(ledger, AT_ONCE)
    expect(await ledger.tickets.getJob(`${jobId}-0-1-1`)).toBeDefined()
    await ledger.redis.hset(ledger.keys.run(jobId, 0), 'started', 1)
    await sweep(ledger, AT_ONCE)
    expect(await firstRun(ledger, jobId)).toMatchObject({ state: 'lost', reason: 'worker_lost' })
  })
})

test('a worker is given up at the second look, however far apart the looks are', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1)
  await start(ledger, jobId, 0)
  await ledger.redis.del(ledger.keys.worker('w1'))
  await sweep(ledger, { ...AT_ONCE, suspectMs: 3_000 })
  const leftMs = await ledger.redis.pttl(ledger.keys.suspect('w1'))
  expect(leftMs).toBeGreaterThan(300_000)
  // A worker that takes its lease again is no longer suspect.
  const lease = await startHeartbeat(ledger, 'w1', {
    onError: () => {},
    onLapse: () => {},
    claims: () => [],
    places: 200,
  })
  expect(await ledger.redis.exists(ledger.keys.suspect('w1'))).toBe(0)
  await lease.stop()
})
