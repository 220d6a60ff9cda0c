/** What becomes of runs when something goes wrong, by name: retries, clocks, cancels in part, what is reported. */
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
  readOutput,
  reportJob,
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

  test('a retry that never starts does not make the run forget that it ran before', async () => {
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

  test('the clock of a job skips what has not started, tells workers of the rest, and allows no retry', async () => {
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
