/** What becomes of runs when something goes wrong, by name: retries, clocks, leases, late results, cancels in part. */
import {
  appendOutput,
  cancelJob,
  claimRun,
  dispatchRun,
  extendJob,
  fallBackToAttached,
  findJob,
  findRun,
  finishRun,
  gatherOutput,
  handOver,
  holdsClaim,
  readOutput,
  reportJob,
  startHeartbeat,
  watchJobs,
} from '@muster/ledger'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { claim, ended, exited, firstRun, refused, start } from '../../support/ledger/held-run.ts'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'

const AT_ONCE = { ticketGraceMs: 0, suspectMs: 0, claimNamedMs: 3_600_000 }
const SENT = { connectMs: 5, mode: 'attached' } as const
const FIVE = '5'.repeat(64)

describe('a retry', () => {
  test('waits for its ticket while the command never started, as often as the job says', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1, { retries: 2, retry_backoff_s: 600 })
    for (const attempt of [1, 2]) {
      expect(await finishRun(ledger, await claim(ledger, jobId, 0), refused)).toBe('retrying')
      const run = await firstRun(ledger, jobId)
      expect(run).toMatchObject({ state: 'retry_wait', reason: 'conn_refused', attempt: attempt + 1, ended_at: null })
      const [member = '', due] = (await ledger.redis.zrange(ledger.keys.due, '0', '-1', 'WITHSCORES')).slice(-2)
      const [ticket, delay] = [member.slice(0, member.lastIndexOf(':')), Number(member.split(':').at(-1))]
      expect([ticket, Number(due)]).toEqual([`${jobId}:0:${attempt + 1}`, Date.parse(run.retry_at ?? '')])
      // Doubled each time, and half of it is jitter.
      const usual = 600_000 * attempt
      expect(delay).toBeGreaterThanOrEqual(usual / 2)
      expect(delay).toBeLessThanOrEqual(usual)
    }
    expect(await finishRun(ledger, await claim(ledger, jobId, 0), refused)).toBe('finished')
    expect(await firstRun(ledger, jobId)).toMatchObject({ state: 'unreachable', attempt: 3, safe_to_retry: true })
    expect((await findJob(ledger, jobId))?.state).toBe('failed')
  })

  test('is not made of what a worker holds for hopeless, nor of a command that ran', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 3, { retries: 5 })
    const hopeless = { ...refused, reason: 'auth_failed', isRetryable: false } as const
    expect(await finishRun(ledger, await claim(ledger, jobId, 0), hopeless)).toBe('finished')
    expect(await finishRun(ledger, await start(ledger, jobId, 1), exited(75))).toBe('finished')
    expect(await finishRun(ledger, await start(ledger, jobId, 2), ended({ state: 'timed_out' }))).toBe('finished')
  })

  test('is made of a command that ran where the caller said so, and only then', async () => {
    const ledger = await openTestLedger()
    const options = { retries: 1, retry_backoff_s: 0, retry_on: [75, 'lost', 'timed_out'] }
    const jobId = await submitTo(ledger, 4, options)
    expect(await finishRun(ledger, await start(ledger, jobId, 0), exited(75))).toBe('retrying')
    expect(await finishRun(ledger, await start(ledger, jobId, 1), exited(7))).toBe('finished')
    const timedOut = ended({ state: 'timed_out', reason: 'exec_timeout', exitCode: null })
    expect(await finishRun(ledger, await start(ledger, jobId, 2), timedOut)).toBe('retrying')
    await start(ledger, jobId, 3)
    await ledger.redis.del(ledger.keys.worker('w1'))
    await sweep(ledger, AT_ONCE)
    expect((await findJob(ledger, jobId))?.counts).toMatchObject({ retry_wait: 3, failed: 1 })
    expect(await finishRun(ledger, await start(ledger, jobId, 3), ended())).toBe('finished')
    expect(await findRun(ledger, jobId, 'h3')).toMatchObject({ state: 'succeeded', attempt: 2, reason: null })
  })

  test('that never starts does not make the run forget that it ran before', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2, { retries: 1, retry_backoff_s: 0, retry_on: [75] })
    await finishRun(ledger, await start(ledger, jobId, 0), exited(75))
    await finishRun(ledger, await claim(ledger, jobId, 0), refused)
    const told = { state: 'failed', remote: 'ended', exit_code: 75, safe_to_retry: false, attempt: 2 }
    expect(await firstRun(ledger, jobId)).toMatchObject(told)
    expect((await firstRun(ledger, jobId)).notice).toContain('attempt 2 did not start')

    await finishRun(ledger, await start(ledger, jobId, 1), exited(75))
    await cancelJob(ledger, jobId)
    expect(await findRun(ledger, jobId, 'h1')).toMatchObject({ ...told, state: 'failed' })
  })

  test('that is sent and does not start after all gives the output of the attempt before back', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1, { retries: 1, retry_backoff_s: 0, retry_on: [75] })
    const first = await start(ledger, jobId, 0)
    const bytes = Buffer.from('hello')
    await appendOutput(ledger, first, { stream: 'stdout', side: 'head', offset: 0, bytes })
    const end = (count: number, sha256: string) => ({ bytes: count, omittedBytes: 0, tail: Buffer.alloc(0), sha256 })
    const output = { stdout: end(5, FIVE), stderr: end(0, 'none'), complete: true, digest: 'd1' }
    await finishRun(ledger, first, { ...exited(75), output })
    const nothing = { stdout: end(0, 'none'), stderr: end(0, 'none'), complete: true, digest: 'd2' }
    await finishRun(ledger, await start(ledger, jobId, 0), { ...refused, isRetryable: false, output: nothing })
    const run = await firstRun(ledger, jobId)
    expect(run).toMatchObject({ state: 'failed', exit_code: 75, stdout: { bytes: 5, sha256: FIVE } })
    const query = { stream: 'stdout', offset: 0, limitBytes: 100, encoding: 'utf8' } as const
    expect(await readOutput(ledger, jobId, 'h0', query)).toMatchObject({ data: 'hello', total_bytes: 5, eof: true })
    expect((await ledger.redis.keys(`${ledger.keys.base}:out:*`)).map((key) => key.split(':').at(-1))).toEqual([
      'stdout',
    ])
  })

  test('shows nothing of the output of the attempt before', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1, { retries: 1, retry_backoff_s: 0, retry_on: [75] })
    const first = await start(ledger, jobId, 0)
    const bytes = Buffer.from('the first attempt printed this')
    await appendOutput(ledger, first, { stream: 'stdout', side: 'head', offset: 0, bytes })
    await finishRun(ledger, first, exited(75))
    await start(ledger, jobId, 0)
    const query = { stream: 'stdout', offset: 0, limitBytes: 100, encoding: 'utf8' } as const
    expect(await readOutput(ledger, jobId, 'h0', query)).toMatchObject({ data: '', total_bytes: 0 })
  })
})

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
      slots: 200,
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
    const options = { onError: () => {}, onLapse: () => {}, claims: () => [claimed], slots: 1 }
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
    const lease = await startHeartbeat(ledger, 'w9', { onError: () => {}, onLapse, claims: () => [], slots: 200 })
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

  test('that no worker takes gets its ticket again, and is lost when its result is waited for no longer', async () => {
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

describe('a clock that is over', () => {
  test('skips what has not started by the start deadline, also when no worker ever asks', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 4, { concurrency: 2, start_deadline_s: 0.1 })
    await expect
      .poll(async () => {
        await sweep(ledger, AT_ONCE)
        return findJob(ledger, jobId)
      })
      .toMatchObject({ state: 'failed', counts: { skipped: 4 } })
    const told = { state: 'skipped', reason: 'start_deadline', remote: 'not_started', safe_to_retry: true }
    expect(await findRun(ledger, jobId, 'h0')).toMatchObject(told)
    expect(await findRun(ledger, jobId, 'h3')).toMatchObject(told)
    expect((await reportJob(ledger, jobId))?.problems).toMatchObject([{ hosts: 'h[0-3]', count: 4 }])
  })

  test('is looked at by the claim and by the dispatch mark, and not only by the sweep', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2)
    const claimed = await claim(ledger, jobId, 0)
    await ledger.redis.hset(ledger.keys.job(jobId), 'start_deadline', 1)
    expect(await dispatchRun(ledger, claimed, SENT)).toMatchObject({ word: 'over', reason: 'start_deadline' })
    const ticket = { job_id: jobId, index: 1, host: 'h1', attempt: 1, reissue: 0 }
    expect(await claimRun(ledger, ticket, 'w1')).toBeUndefined()
    expect(await findRun(ledger, jobId, 'h1')).toMatchObject({ state: 'skipped', reason: 'start_deadline' })
  })

  test('of the job skips what has not started, tells the workers of the rest, and allows no retry', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 3, { concurrency: 2, job_timeout_s: 60, retry_on: [75] })
    const running = await start(ledger, jobId, 0)
    expect(running.jobLeftMs).toBeLessThanOrEqual(60_000)
    const watch = await watchJobs(ledger, () => {})
    onTestFinished(() => watch.stop())
    const reasons: string[] = []
    watch.watch(jobId, 0, { onStop: (reason) => void reasons.push(reason), onExecTimeout: () => {} })
    await ledger.redis.hset(ledger.keys.job(jobId), 'job_deadline', 1)
    await sweep(ledger, AT_ONCE)
    await expect.poll(() => reasons).toContain('job_timeout')
    expect((await findJob(ledger, jobId))?.counts).toMatchObject({ skipped: 2, running: 1 })
    expect(await finishRun(ledger, running, exited(75))).toBe('finished')
    expect((await findJob(ledger, jobId))?.state).toBe('failed')
  })
})

describe('a cancel of some hosts', () => {
  test('ends what waits, tells the worker of what runs, and leaves the others alone', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 6, { concurrency: 2 })
    const running = await start(ledger, jobId, 0)
    const watch = await watchJobs(ledger, () => {})
    onTestFinished(() => watch.stop())
    const stopped = new Set<number>()
    for (const index of [0, 1]) {
      watch.watch(jobId, index, { onStop: () => stopped.add(index), onExecTimeout: () => {} })
    }
    expect(await cancelJob(ledger, jobId, ['h0', 'h2', 'h5'])).toBe(true)
    await expect.poll(() => [...stopped]).toEqual([0])
    expect(await findJob(ledger, jobId)).toMatchObject({
      state: 'running',
      cancel_requested_at: null,
      counts: { running: 1, queued: 1, cancelled: 2, pending: 2 },
    })
    await finishRun(ledger, running, ended({ state: 'cancelled', reason: 'cancelled_by_user', exitCode: null }))
    for (const index of [1, 3, 4]) await finishRun(ledger, await start(ledger, jobId, index), ended())
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'partial', counts: { succeeded: 3, cancelled: 3 } })
    expect((await reportJob(ledger, jobId))?.problems).toMatchObject([{ hosts: 'h[2,5]' }, { hosts: 'h0' }])
  })

  test('of a run that connects keeps it from starting', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2)
    const claimed = await claim(ledger, jobId, 0)
    await cancelJob(ledger, jobId, ['h0'])
    expect(await dispatchRun(ledger, claimed, SENT)).toMatchObject({ word: 'over', state: 'cancelled' })
  })

  test('that are not in the job is refused, and nothing is cancelled', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2)
    await expect(cancelJob(ledger, jobId, ['h0', 'nosuch'])).rejects.toMatchObject({ code: 'unknown_target' })
    await expect(cancelJob(ledger, jobId, [])).rejects.toMatchObject({ code: 'no_targets' })
    expect((await findJob(ledger, jobId))?.counts).toMatchObject({ queued: 2 })
  })
})

describe('a limit that is raised', () => {
  test('reaches those who watch the job, and is never lowered', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1, { exec_timeout_s: 10 })
    const watch = await watchJobs(ledger, () => {})
    onTestFinished(() => watch.stop())
    const limits: number[] = []
    watch.watch(jobId, 0, { onStop: () => {}, onExecTimeout: (ms) => void limits.push(ms) })
    expect(await extendJob(ledger, jobId, 20_000)).toBe('raised')
    await expect.poll(() => limits).toContain(20_000)
    await expect(extendJob(ledger, jobId, 15_000)).rejects.toThrow('15 is less than the present limit, 20')
    expect(await findJob(ledger, jobId)).toMatchObject({ exec_timeout_s: 20 })
    await cancelJob(ledger, jobId)
    expect(await extendJob(ledger, jobId, 30_000)).toBe('ended')
    expect(await extendJob(ledger, `job_${'a'.repeat(26)}`, 30_000)).toBe('unknown')
  })
})

test('a host that could not hold a durable run is reported with the job, until another attempt', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 2, { retry_on: [75], retry_backoff_s: 0 })
  const claims = [await start(ledger, jobId, 0, 'durable'), await start(ledger, jobId, 1, 'durable')]
  for (const claimed of claims) await fallBackToAttached(ledger, claimed, 'it ran attached')
  const noticesOf = async () => (await reportJob(ledger, jobId))?.notices
  expect(await noticesOf()).toEqual([{ notice: 'it ran attached', hosts: 'h[0-1]', count: 2 }])
  for (const claimed of claims) await finishRun(ledger, claimed, exited(75))
  await start(ledger, jobId, 0)
  expect(await noticesOf()).toEqual([{ notice: 'it ran attached', hosts: 'h1', count: 1 }])
})

test('what a worker reports of a connection stands with the run, and what else it reports is added to it', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1)
  const claimed = await claim(ledger, jobId, 0)
  await dispatchRun(ledger, claimed, { connectMs: 1, mode: 'durable', notice: 'an old host' })
  const noticesOf = async () => (await reportJob(ledger, jobId))?.notices?.map(({ notice }) => notice)
  expect(await noticesOf()).toEqual(['an old host'])
  await fallBackToAttached(ledger, claimed, 'it ran attached')
  expect(await noticesOf()).toEqual(['an old host; it ran attached'])
})

test('what is reported of one host is not reported of another that ended otherwise', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 4, { concurrency: 3, retries: 0 })
  const killed = ended({ state: 'cancelled', reason: 'cancelled_by_user', detail: 'it was killed', exitCode: null })
  await finishRun(ledger, await claim(ledger, jobId, 1), { ...refused, detail: 'port 1' })
  await finishRun(ledger, await claim(ledger, jobId, 2), { ...refused, detail: 'port 2' })
  const running = await start(ledger, jobId, 0)
  await cancelJob(ledger, jobId)
  await finishRun(ledger, running, killed)
  expect((await reportJob(ledger, jobId))?.problems?.map(({ hosts, detail }) => [hosts, detail])).toEqual([
    ['h[1-2]', 'h1, for example: port 1'],
    ['h0', 'it was killed'],
    ['h3', null],
  ])
})

test('what a lost run has printed is shown with all output, and nobody says that it is all', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 3)
  for (const index of [0, 1]) {
    const claimed = await start(ledger, jobId, index)
    const bytes = Buffer.from(`printed by ${index}`)
    await appendOutput(ledger, claimed, { stream: 'stdout', side: 'head', offset: 0, bytes })
  }
  await start(ledger, jobId, 2)
  await ledger.redis.del(ledger.keys.worker('w1'))
  await sweep(ledger, AT_ONCE)
  const gathered = await gatherOutput(ledger, jobId, { limitBytes: 100, masks: [], withDiff: false, groupsLimit: 100 })
  const lost = { state: 'lost', count: 1, output_complete: false }
  expect(gathered?.groups).toMatchObject([
    { ...lost, hosts: 'h0', stdout: 'printed by 0' },
    { ...lost, hosts: 'h1', stdout: 'printed by 1' },
  ])
  expect(gathered?.without_output).toMatchObject([{ state: 'lost', hosts: 'h2', count: 1 }])
})

test('a tail that overtakes the end of its head stands where it belongs', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1)
  const claimed = await start(ledger, jobId, 0)
  const stream = 'stdout' as const
  const head = (offset: number) => ({ stream, side: 'head' as const, offset, bytes: Buffer.alloc(100, 'h') })
  await appendOutput(ledger, claimed, head(0))
  await appendOutput(ledger, claimed, { stream, side: 'tail', offset: 250, bytes: Buffer.from('tail') })
  await appendOutput(ledger, claimed, head(100))
  await appendOutput(ledger, claimed, head(100))
  const query = { stream, offset: 200, limitBytes: 10, encoding: 'utf8' } as const
  expect(await readOutput(ledger, jobId, 'h0', query)).toMatchObject({ offset: 250, data: 'tail', omitted_bytes: 50 })
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
    slots: 200,
  })
  expect(await ledger.redis.exists(ledger.keys.suspect('w1'))).toBe(0)
  await lease.stop()
})

test('the end of a long stream can be read while it is written, and says what lies before it', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1)
  const claimed = await start(ledger, jobId, 0)
  const stream = 'stdout' as const
  await appendOutput(ledger, claimed, { stream, side: 'head', offset: 0, bytes: Buffer.from('0123456789') })
  const read = (offset: number) =>
    readOutput(ledger, jobId, 'h0', { stream, offset, limitBytes: 100, encoding: 'utf8' })
  for (const [offset, text] of [
    [50, 'fifty'],
    [80, 'eighty'],
  ] as const) {
    await appendOutput(ledger, claimed, { stream, side: 'tail', offset, bytes: Buffer.from(text) })
    const page = { offset, data: text, omitted_bytes: offset - 10, total_bytes: offset + text.length, eof: false }
    expect(await read(10)).toMatchObject(page)
  }
  expect(await read(0)).toMatchObject({ data: '0123456789', next_offset: 10, omitted_bytes: 0 })
})
