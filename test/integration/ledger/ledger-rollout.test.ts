/** How a job goes through its hosts: fan-out, error budget, batches, gates and pauses, as the ledger decides them. */
import { cancelJob, dispatchRun, findJob, reportJob, resumeJob, setConcurrency } from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'
import { claimIndex, endAs, queuedRuns, workOff } from '../../support/ledger/ledger-worker.ts'

const NOW = { ticketGraceMs: 3_600_000, suspectMs: 0, claimNamedMs: 3_600_000 }

describe('the error budget', () => {
  test('10% of 50 hosts that always fail, one at a time, are exactly 6 errors, and 44 are skipped', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 50, { max_errors: '10%', concurrency: 1 })
    await workOff(ledger, jobId, { endOf: () => 'failed' })
    expect(await reportJob(ledger, jobId)).toMatchObject({
      state: 'failed',
      counts: { failed: 6, skipped: 44 },
      budget: { max_errors: 5, errors: 6, exceeded: true },
      tripped_by: 'h[0-5]',
      problems: [
        { state: 'skipped', reason: 'error_budget', hosts: 'h[6-49]' },
        { state: 'failed', hosts: 'h[0-5]' },
      ],
    })
  })

  test('at ten at a time there are at most 15 errors', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 50, { max_errors: '10%', concurrency: 10 })
    await workOff(ledger, jobId, { endOf: () => 'failed' })
    const job = await findJob(ledger, jobId)
    expect(job?.counts.failed).toBeLessThanOrEqual(15)
    expect((job?.counts.failed ?? 0) + (job?.counts.skipped ?? 0)).toBe(50)
  })

  test('failed, unreachable and lost hosts count, and only the ones that tripped it are named', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 9, { max_errors: 2, concurrency: 1 })
    const ends = ['failed', 'ok', 'refused', 'ok', 'lost'] as const
    await workOff(ledger, jobId, { endOf: (host) => ends[Number(host.slice(1))] ?? 'ok' })
    expect(await reportJob(ledger, jobId)).toMatchObject({
      state: 'failed',
      counts: { succeeded: 2, failed: 1, unreachable: 1, lost: 1, skipped: 4 },
      tripped_by: 'h[0,2,4]',
    })
  })

  test('hosts that were cancelled or skipped, however many, do not hide those that failed', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 300, { max_errors: 0, concurrency: 1 })
    await cancelJob(
      ledger,
      jobId,
      Array.from({ length: 250 }, (_, i) => `h${i + 1}`),
    )
    await workOff(ledger, jobId, { endOf: () => 'failed' })
    const report = await reportJob(ledger, jobId)
    expect(report?.tripped_by).toBe('h0')
    expect(report?.problems).toContainEqual(expect.objectContaining({ state: 'failed', hosts: 'h0' }))
  })

  test('all hosts that tripped it are named', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 300, { max_errors: 240, concurrency: 300 })
    await workOff(ledger, jobId, { parallel: 300, endOf: () => 'failed' })
    expect((await reportJob(ledger, jobId))?.tripped_by).toBe('h[0-240]')
  })

  test('as many errors as are tolerated stop nothing', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 9, { max_errors: 2, concurrency: 1 })
    await workOff(ledger, jobId, { endOf: (host) => (host === 'h1' || host === 'h8' ? 'failed' : 'ok') })
    expect(await reportJob(ledger, jobId)).toMatchObject({
      state: 'partial',
      counts: { succeeded: 7, failed: 2 },
      budget: { exceeded: false },
      tripped_by: null,
    })
  })

  test('one success and four unreachable hosts are never a success', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 5)
    await workOff(ledger, jobId, { endOf: (host) => (host === 'h0' ? 'ok' : 'refused') })
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'partial', counts: { succeeded: 1, unreachable: 4 } })
  })

  test('what is connecting when it is spent is told so at its dispatch, and counts as skipped', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2, { max_errors: 0, concurrency: 2 })
    const first = await claimIndex(ledger, jobId, 0)
    const second = await claimIndex(ledger, jobId, 1)
    if (first === undefined || second === undefined) throw new Error('not both runs could be claimed')
    await endAs(ledger, first, 'failed')
    expect(await dispatchRun(ledger, second, { connectMs: 1, mode: 'attached' })).toEqual({
      word: 'over',
      state: 'skipped',
      reason: 'error_budget',
    })
  })
})

describe('a spent budget', () => {
  test('with on_budget cancel is told to the workers at once', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2, { max_errors: 0, on_budget: 'cancel' })
    const told: string[] = []
    ledger.listener().on('message', (_channel, message) => told.push(message))
    await ledger.listener().subscribe(ledger.keys.orders)
    const [first] = [await claimIndex(ledger, jobId, 0), await claimIndex(ledger, jobId, 1)]
    if (first !== undefined) await endAs(ledger, first, 'failed')
    await expect.poll(() => told).toEqual([jobId])
  })

  test('does not keep what still runs from the time limit of the job', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2, { max_errors: 0, job_timeout_s: 3600 })
    const [first] = [await claimIndex(ledger, jobId, 0), await claimIndex(ledger, jobId, 1)]
    if (first !== undefined) await endAs(ledger, first, 'failed')
    await ledger.redis.hset(ledger.keys.job(jobId), 'job_deadline', 1)
    await sweep(ledger, NOW)
    expect(await ledger.redis.hget(ledger.keys.job(jobId), 'stop')).toBe('job_timeout')
  })
})

describe('the fan-out', () => {
  test('can be raised and lowered while the job runs, and is never exceeded', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 20, { concurrency: 2 })
    expect(await queuedRuns(ledger, jobId)).toHaveLength(2)
    expect(await setConcurrency(ledger, jobId, '25%')).toBe('changed')
    expect(await queuedRuns(ledger, jobId)).toHaveLength(5)
    expect(await setConcurrency(ledger, jobId, 3)).toBe('changed')
    const claim = await claimIndex(ledger, jobId, 0)
    if (claim !== undefined) await endAs(ledger, claim, 'ok')
    expect(await queuedRuns(ledger, jobId), 'none comes after it: four are more than three').toHaveLength(4)
    const { largestWave, ran } = await workOff(ledger, jobId)
    expect([largestWave, ran.length]).toEqual([4, 19])
    expect(await setConcurrency(ledger, jobId, 3)).toBe('ended')
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'succeeded', concurrency: 3 })
  })

  test('a job leaves places to other jobs, however many hosts it has, and what is free again is used', async () => {
    const ledger = await openTestLedger()
    const { redis, keys } = ledger
    await redis.set(keys.worker('w1'), '[]')
    await redis.hset(keys.workerPlaces, 'w1', 18)
    await sweep(ledger, NOW)
    const large = await submitTo(ledger, 10_000, { concurrency: 10_000 }, 'a')
    expect(await queuedRuns(ledger, large)).toHaveLength(16)
    const second = await submitTo(ledger, 10_000, { concurrency: 10_000 }, 'b')
    expect((await queuedRuns(ledger, second)).length, 'there always is one').toBe(1)
    const single = await submitTo(ledger, 1, {}, 'c')
    expect(await queuedRuns(ledger, single)).toEqual([0])

    await cancelJob(ledger, large)
    expect(await queuedRuns(ledger, second)).toHaveLength(1)
    await sweep(ledger, NOW)
    expect((await queuedRuns(ledger, second)).length, 'the sweep hands out what came free').toBe(15)
    await cancelJob(ledger, second)
    await cancelJob(ledger, single)
    expect(await redis.get(`${keys.base}:in-flight`)).toBe('0')
  })

  test('runs that wait for their host, or for a retry, take no places of the workers from other jobs', async () => {
    const ledger = await openTestLedger()
    const { redis, keys } = ledger
    await redis.set(keys.worker('w1'), '[]')
    await redis.hset(keys.workerPlaces, 'w1', 45)
    await sweep(ledger, NOW)
    const busy = await submitTo(ledger, 1, {}, 'busy')
    await claimIndex(ledger, busy, 0)
    for (let i = 0; i < 30; i += 1) await claimIndex(ledger, await submitTo(ledger, 1, {}, 'busy'), 0)
    const away = await submitTo(ledger, 30, { retry_backoff_s: 600 }, 'away')
    for (const index of await queuedRuns(ledger, away)) {
      const claim = await claimIndex(ledger, away, index)
      if (claim !== undefined) await endAs(ledger, claim, 'refused', true)
    }
    const other = await submitTo(ledger, 100, { concurrency: 100 }, 'other')
    expect((await queuedRuns(ledger, other)).length).toBe(39)
    const before = await redis.get(`${keys.base}:in-flight`)
    await sweep(ledger, NOW)
    expect(await redis.get(`${keys.base}:in-flight`), 'a new count gives the same').toBe(before)
  })

  test('workers and runs in flight are counted again and again, so that no mistake lasts', async () => {
    const ledger = await openTestLedger()
    const { redis, keys } = ledger
    await redis.set(keys.worker('w1'), '[]')
    await redis.hset(keys.workerPlaces, 'w1', 18, 'dead', 500)
    await redis.set(`${keys.base}:in-flight`, 999)
    await sweep(ledger, NOW)
    expect(await redis.hgetall(keys.workerPlaces)).toEqual({ w1: '18' })
    expect(await queuedRuns(ledger, await submitTo(ledger, 100, { concurrency: 100 }))).toHaveLength(16)
  })
})

describe('batches', () => {
  test('begin one after the other: 1, then 10%, then 50%, which repeats', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 20, { batches: [1, '10%', '50%'], concurrency: 100 })
    const sizes: number[] = []
    for (let wave = await queuedRuns(ledger, jobId); wave.length > 0; wave = await queuedRuns(ledger, jobId)) {
      sizes.push(wave.length)
      const job = await findJob(ledger, jobId)
      expect(job?.batch).toMatchObject({ number: sizes.length, of: 4, hosts: wave.length, from: wave[0] })
      for (const index of wave) {
        const claim = await claimIndex(ledger, jobId, index)
        expect(await queuedRuns(ledger, jobId), 'nothing of the next one yet').not.toContain((wave.at(-1) ?? 0) + 1)
        if (claim !== undefined) await endAs(ledger, claim, 'ok')
      }
    }
    expect(sizes).toEqual([1, 2, 10, 7])
    expect((await findJob(ledger, jobId))?.state).toBe('succeeded')
  })

  test('a canary that fails stops the job: by default batches tolerate no error', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 20, { canary: 2 })
    const { ran } = await workOff(ledger, jobId, { endOf: () => 'failed' })
    expect(ran).toEqual(['h0', 'h1'])
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'failed', counts: { failed: 2, skipped: 18 } })
  })

  test('within the budget a batch with errors is followed by the next', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 6, { batches: [2], max_errors: 1 })
    await workOff(ledger, jobId, { endOf: (host) => (host === 'h0' ? 'failed' : 'ok') })
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'partial', counts: { succeeded: 5, failed: 1 } })
  })

  test('at a manual gate the job is paused until it is resumed, and says so', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 4, { batches: [2], gate: 'manual' })
    expect(await resumeJob(ledger, jobId), 'it does not wait yet').toBe('not_paused')
    await ledger.redis.hincrby(ledger.keys.job(jobId), 'start_deadline', -3_000_000)
    await workOff(ledger, jobId)
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'paused', batch: { number: 1, of: 2 } })
    await sweep(ledger, NOW)
    expect(await queuedRuns(ledger, jobId)).toEqual([])
    const left = Number(await ledger.redis.hget(ledger.keys.job(jobId), 'start_deadline')) - Date.now()
    expect(left, 'its hour starts again').toBeGreaterThan(3_590_000)
    expect(await resumeJob(ledger, jobId)).toBe('resumed')
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'running', batch: { number: 2, from: 2 } })
    await workOff(ledger, jobId)
    expect((await findJob(ledger, jobId))?.state, 'there is no gate after the last').toBe('succeeded')
    expect(await resumeJob(ledger, jobId)).toBe('not_paused')
  })

  test('a paused job can be cancelled, and ends by itself when nobody lets it go on in time', async () => {
    const ledger = await openTestLedger()
    const [cancelled, forgotten] = [
      await submitTo(ledger, 4, { batches: [2], gate: 'manual' }, 'a'),
      await submitTo(ledger, 4, { batches: [2], gate: 'manual' }, 'b'),
    ]
    await workOff(ledger, cancelled)
    await workOff(ledger, forgotten)
    await cancelJob(ledger, cancelled)
    expect(await findJob(ledger, cancelled)).toMatchObject({
      state: 'cancelled',
      counts: { succeeded: 2, cancelled: 2 },
    })
    await ledger.redis.hset(ledger.keys.job(forgotten), 'start_deadline', 1)
    expect(await resumeJob(ledger, forgotten), 'it is too late').toBe('not_paused')
    expect(await findJob(ledger, forgotten)).toMatchObject({ state: 'partial', counts: { succeeded: 2, skipped: 2 } })
  })

  test('during a pause one run waits with its ticket, and claiming it lets the others of the batch go', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 7, { batches: [1, 3], batch_pause_s: 3600 })
    const first = await claimIndex(ledger, jobId, 0)
    if (first !== undefined) await endAs(ledger, first, 'ok')
    expect(await queuedRuns(ledger, jobId)).toEqual([1])
    await sweep(ledger, NOW)
    await setConcurrency(ledger, jobId, 5)
    expect(await queuedRuns(ledger, jobId), 'whatever else happens').toEqual([1])
    expect(await ledger.redis.zrange(ledger.keys.due, '0', '-1')).toEqual([`${jobId}:1:1:3600000`])
    const job = await findJob(ledger, jobId)
    expect(Date.parse(job?.batch?.starts_at ?? '') - Date.now()).toBeGreaterThan(3_590_000)

    await ledger.redis.del(ledger.keys.due)
    expect(await claimIndex(ledger, jobId, 1), 'a ticket that comes too early is not taken').toBeUndefined()
    expect(await queuedRuns(ledger, jobId)).toEqual([1])
    expect(await ledger.redis.zrange(ledger.keys.due, '0', '-1'), 'and comes again').toEqual([`${jobId}:1:1:3600000`])
    await ledger.redis.hset(ledger.keys.job(jobId), 'batch_due', 1)
    await claimIndex(ledger, jobId, 1)
    expect(await queuedRuns(ledger, jobId)).toEqual([2, 3])
    expect((await findJob(ledger, jobId))?.batch).toMatchObject({ number: 2, starts_at: null })
  })

  test('a batch of which no host was tried proves nothing: the job is paused, and says why', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 6, { canary: 2 })
    await cancelJob(ledger, jobId, ['h0', 'h1'])
    const job = await findJob(ledger, jobId)
    expect(job).toMatchObject({ state: 'paused', batch: { number: 1, paused_because: 'nothing_ran' } })
    expect(Date.parse(job?.batch?.paused_until ?? '') - Date.now()).toBeGreaterThan(3_590_000)
    expect(await resumeJob(ledger, jobId, 1), 'it is paused after another batch').toBe('not_paused')
    expect(await resumeJob(ledger, jobId, 0)).toBe('resumed')
    expect(await resumeJob(ledger, jobId, 0), 'a request that is sent twice opens one gate').toBe('not_paused')
    await workOff(ledger, jobId)
    expect((await findJob(ledger, jobId))?.counts).toMatchObject({ cancelled: 2, succeeded: 4 })
  })

  test('whose commands run for longer than the start deadline do not end those after them', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2, { batches: [1] })
    const claim = await claimIndex(ledger, jobId, 0)
    await ledger.redis.hset(ledger.keys.job(jobId), 'start_deadline', 1)
    if (claim !== undefined) await dispatchRun(ledger, claim, { connectMs: 1, mode: 'attached' })
    await sweep(ledger, NOW)
    expect((await findJob(ledger, jobId))?.counts).toMatchObject({ pending: 1 })
  })

  test('that do not start in time take those after them along', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 3, { batches: [1] })
    await ledger.redis.hset(ledger.keys.job(jobId), 'start_deadline', 1)
    await sweep(ledger, NOW)
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'failed', counts: { skipped: 3 } })
  })

  test('a clock that is over when the first run after a pause is claimed ends each run once', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 3, { batches: [1, 2], batch_pause_s: 3600, job_timeout_s: 7200 })
    const first = await claimIndex(ledger, jobId, 0)
    if (first !== undefined) await endAs(ledger, first, 'ok')
    await ledger.redis.hset(ledger.keys.job(jobId), 'batch_due', 1, 'job_deadline', 1)
    expect(await claimIndex(ledger, jobId, 1)).toBeUndefined()
    expect(await findJob(ledger, jobId)).toMatchObject({
      state: 'partial',
      counts: { succeeded: 1, skipped: 2, queued: 0 },
    })
  })

  test('the start deadline of a batch is counted from its own start', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2, { batches: [1], batch_pause_s: 3600, start_deadline_s: 60 })
    const first = await claimIndex(ledger, jobId, 0)
    if (first !== undefined) await endAs(ledger, first, 'ok')
    const left = Number(await ledger.redis.hget(ledger.keys.job(jobId), 'start_deadline')) - Date.now()
    expect(left).toBeGreaterThan(3_600_000)
  })
})

test('a percentage of very many hosts is no more at once than a number may be', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 10_002, { concurrency: '100%' })
  expect(await findJob(ledger, jobId)).toMatchObject({ concurrency: 10_000, counts: { queued: 10_000, pending: 2 } })
  await setConcurrency(ledger, jobId, 5)
  await setConcurrency(ledger, jobId, '100%')
  expect(await findJob(ledger, jobId)).toMatchObject({ concurrency: 10_000 })
})
