/** The ledger against a real Redis: what is stored, what is handed back, what is told. */
import { createHash, randomBytes } from 'node:crypto'
import { type Job, JobId, MusterError, Submit } from '@muster/contract'
import {
  appendOutput,
  type Claim,
  cancelJob,
  claimRun,
  dispatchRun,
  findJob,
  findRun,
  finishRun,
  gatherOutput,
  type Ledger,
  listJobs,
  listRuns,
  openLedger,
  readOutput,
  reportJob,
  submitJob,
  waitForJob,
} from '@muster/ledger'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'

const SENT = { connectMs: 5, mode: 'attached' } as const

async function claimAndDispatch(ledger: Ledger, jobId: string, index: number): Promise<Claim> {
  await ledger.redis.set(ledger.keys.worker('w1'), 1)
  const claim = await claimRun(ledger, { job_id: jobId, index, host: `h${index}`, attempt: 1, reissue: 0 }, 'w1')
  if (claim === undefined) throw new Error(`run ${index} could not be claimed`)
  await dispatchRun(ledger, claim, SENT)
  return claim
}

/** Ends a run as a worker would after a command that printed this. */
async function succeedWith(ledger: Ledger, claim: Claim, text: string, exitCode = 0): Promise<void> {
  const bytes = Buffer.from(text)
  if (bytes.length > 0) await appendOutput(ledger, claim, { stream: 'stdout', side: 'head', offset: 0, bytes })
  await finishRun(ledger, claim, {
    state: exitCode === 0 ? 'succeeded' : 'failed',
    remote: 'ended',
    reason: exitCode === 0 ? null : 'exit_nonzero',
    detail: null,
    exitCode,
    signal: null,
    isRetryable: false,
    output: { stdout: streamEnd(bytes), stderr: streamEnd(Buffer.alloc(0)), complete: true, digest: text },
  })
}

function streamEnd(bytes: Buffer, tail = Buffer.alloc(0), omittedBytes = 0) {
  return { bytes: bytes.length, omittedBytes, tail, sha256: createHash('sha256').update(bytes).digest('hex') }
}

describe('submitting', () => {
  test('a job has an ID of 128 random bits and one pending or queued run per host', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 120, { concurrency: 50 })
    expect(JobId.parse(jobId)).toBe(jobId)
    const job = await findJob(ledger, jobId)
    expect(job).toMatchObject({ state: 'queued', total: 120 })
    expect(job?.counts).toMatchObject({ queued: 50, pending: 70 })
    expect(await ledger.tickets.count()).toBe(50)
  })

  test('a percentage of the hosts is rounded up and is at least one', async () => {
    const ledger = await openTestLedger()
    const concurrencyOf = async (hosts: number, concurrency: string) =>
      (await findJob(ledger, await submitTo(ledger, hosts, { concurrency })))?.concurrency
    expect(await concurrencyOf(10, '25%')).toBe(3)
    expect(await concurrencyOf(3, '1%')).toBe(1)
    expect(await concurrencyOf(8, '100%')).toBe(8)
  })

  test('the same request under the same idempotency key is the same job, once', async () => {
    const ledger = await openTestLedger()
    const request = Submit.parse({ command: 'uptime', targets: 'h0', idempotency_key: 'k' })
    const submit = (owner: string, command = 'uptime') =>
      submitJob(ledger, { request: { ...request, command }, hosts: ['h0'], owner })
    const all = await Promise.all(Array.from({ length: 10 }, () => submit('a')))
    expect(new Set(all.map(({ jobId }) => jobId)).size).toBe(1)
    expect(all.filter(({ created }) => created)).toHaveLength(1)
    expect(await ledger.tickets.count()).toBe(1)
    await expect(submit('a', 'reboot')).rejects.toMatchObject({ code: 'idempotency_conflict' })
    expect((await submit('b')).created).toBe(true)
  })

  test('a ticket and its title hold no command, environment or stdin', async () => {
    const ledger = await openTestLedger()
    await submitTo(ledger, 1, { command: 'PGPASSWORD=canary1 psql canary2', env: { A: 'canary3' }, stdin: 'canary4' })
    const tickets = await ledger.tickets.getJobs()
    expect(tickets.map(({ name }) => name)).toEqual(['h0: psql'])
    expect(JSON.stringify(tickets)).not.toContain('canary')
  })

  test('while Redis is away a submit is refused at once as unavailable, and says under which ID to look', async () => {
    const ledger = await openTestLedger('server')
    ledger.redis.disconnect()
    const failure = await submitTo(ledger, 1).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(MusterError)
    expect(failure).toMatchObject({ code: 'ledger_unavailable', details: { job_id: expect.stringMatching(/^job_/) } })
  })

  test('a Redis that does not answer is reported with its address and without its password', async () => {
    const opening = openLedger({ redisUrl: 'redis://:canary@127.0.0.1:1', role: 'server' })
    await expect(opening).rejects.toThrow(/no Redis answered at redis:\/\/127\.0\.0\.1:1 in 10 s/)
    await expect(opening).rejects.not.toThrow(/canary/)
  }, 20_000)
})

describe('claiming', () => {
  test('of many workers that get the same ticket, one has the run', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    const ticket = { job_id: jobId, index: 0, host: 'h0', attempt: 1, reissue: 0 }
    const claims = await Promise.all(Array.from({ length: 20 }, (_, i) => claimRun(ledger, ticket, `w${i}`)))
    expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1)
  })

  test('the end of a run lets the next one go', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 3, { concurrency: 1 })
    expect((await findJob(ledger, jobId))?.counts).toMatchObject({ queued: 1, pending: 2 })
    await succeedWith(ledger, await claimAndDispatch(ledger, jobId, 0), 'hello')
    expect((await findJob(ledger, jobId))?.counts).toMatchObject({ succeeded: 1, queued: 1, pending: 1 })
    expect((await ledger.tickets.getJobs()).map(({ id }) => id)).toContain(`${jobId}-1-1`)
  })

  test('a run without a ticket gets one from the sweep, also when its ticket failed', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2)
    await ledger.tickets.remove(`${jobId}-0-1`)
    await sweep(ledger, { ticketGraceMs: 60_000, suspectMs: 0, claimNamedMs: 3_600_000 })
    expect(await ledger.tickets.getJob(`${jobId}-0-1`)).toBeUndefined()
    await sweep(ledger, { ticketGraceMs: 0, suspectMs: 0, claimNamedMs: 3_600_000 })
    expect(await ledger.tickets.getJob(`${jobId}-0-1`)).toBeDefined()
    expect(await ledger.tickets.count()).toBe(2)
  })
})

describe('cancelling', () => {
  test('what no worker holds ends at once, and the rest of the job with it', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 100, { concurrency: 10 })
    const claim = await claimAndDispatch(ledger, jobId, 0)
    await cancelJob(ledger, jobId)
    const job = await findJob(ledger, jobId)
    expect(job).toMatchObject({ state: 'cancelling', counts: { cancelled: 99, running: 1 } })
    await succeedWith(ledger, claim, 'done all the same')
    expect((await findJob(ledger, jobId))?.state).toBe('cancelled')
    const last = await findRun(ledger, jobId, 'h99')
    expect(last).toMatchObject({ state: 'cancelled', reason: 'cancelled_by_user', safe_to_retry: true })
    expect(last?.ended_at).not.toBeNull()
  })

  test('an unknown job cannot be cancelled', async () => {
    const ledger = await openTestLedger()
    expect(await cancelJob(ledger, `job_${'a'.repeat(26)}`)).toBe(false)
  })
})

describe('reading', () => {
  test('a report folds what went wrong by state and reason', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 5, { argv: ['printf', 'a b'], command: undefined })
    for (let i = 0; i < 5; i += 1)
      await succeedWith(ledger, await claimAndDispatch(ledger, jobId, i), 'x', i < 2 ? 0 : 3)
    const report = await reportJob(ledger, jobId)
    expect(report).toMatchObject({ state: 'partial', command: "printf 'a b'", problems_omitted: 0 })
    expect(report?.problems).toEqual([
      { state: 'failed', reason: 'exit_nonzero', exit_code: 3, detail: null, hosts: 'h[2-4]', count: 3 },
    ])
  })

  test('pages of jobs go from the newest to the oldest and miss none', async () => {
    const ledger = await openTestLedger()
    const submitted: string[] = []
    for (let i = 0; i < 7; i += 1) submitted.push(await submitTo(ledger, 1))
    const seen: Job[] = []
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await listJobs(ledger, { limit: 3, cursor })
      seen.push(...page.jobs)
      cursor = page.next_cursor
    }
    expect(seen.map(({ job_id }) => job_id).sort()).toEqual([...submitted].sort())
  })

  test('runs are paged and filtered by state', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1_200, { concurrency: 3 })
    const first = await listRuns(ledger, jobId, { limit: 1_000 })
    expect(first?.runs).toHaveLength(1_000)
    const second = await listRuns(ledger, jobId, { limit: 1_000, cursor: first?.next_cursor ?? '' })
    expect(second?.runs.map(({ host }) => host).at(-1)).toBe('h1199')
    expect(second?.next_cursor).toBeNull()
    const queued = await listRuns(ledger, jobId, { state: 'queued', limit: 10 })
    expect(queued?.runs.map(({ host }) => host)).toEqual(['h0', 'h1', 'h2'])
    expect(await listRuns(ledger, `job_${'a'.repeat(26)}`, { limit: 10 })).toBeUndefined()
  })

  test('hosts with the same output are one group, and every host is listed once', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 6, { concurrency: 5 })
    for (const [i, text] of ['a', 'a', 'a', 'b', ''].entries()) {
      await succeedWith(ledger, await claimAndDispatch(ledger, jobId, i), text)
    }
    const gathered = await gatherOutput(ledger, jobId, {
      limitBytes: 1_000,
      masks: [],
      withDiff: false,
      groupsLimit: 100,
    })
    expect(gathered?.groups.map(({ hosts, stdout }) => [hosts, stdout])).toEqual([
      ['h[0-2]', 'a'],
      ['h3', 'b'],
      ['h4', ''],
    ])
    expect(gathered?.without_output).toMatchObject([{ state: 'queued', hosts: 'h5', count: 1 }])
  })

  test('pages of any size put together are the bytes that were written, the omitted ones left out', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    const claim = await claimAndDispatch(ledger, jobId, 0)
    const head = randomBytes(1_000)
    const tail = randomBytes(700)
    const part = { stream: 'stdout', side: 'head' } as const
    await appendOutput(ledger, claim, { ...part, offset: 0, bytes: head.subarray(0, 400) })
    await appendOutput(ledger, claim, { ...part, offset: 400, bytes: head.subarray(400) })
    const end = streamEnd(Buffer.concat([head, tail]), tail, 300)
    const stdout = { ...end, bytes: 2_000 }
    const stderr = streamEnd(Buffer.alloc(0))
    const nothingWrong = { reason: null, detail: null, exitCode: 0, signal: null, isRetryable: false } as const
    const output = { stdout, stderr, complete: true, digest: 'any' }
    await finishRun(ledger, claim, { state: 'succeeded', remote: 'ended', ...nothingWrong, output })

    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 20, max: 900 }), async (limitBytes) => {
        const query = { stream: 'stdout', limitBytes, encoding: 'base64' } as const
        const pages: Buffer[] = []
        let omitted = 0
        for (let offset = 0, eof = false; !eof; ) {
          const page = await readOutput(ledger, jobId, 'h0', { ...query, offset })
          if (page === undefined) throw new Error('there is no such run')
          pages.push(Buffer.from(page.data, 'base64'))
          omitted += page.omitted_bytes
          offset = page.next_offset
          eof = page.eof
        }
        expect(Buffer.concat(pages).equals(Buffer.concat([head, tail]))).toBe(true)
        expect(omitted).toBe(300)
      }),
      { numRuns: 40 },
    )
  })

  test('text pages are cut between characters', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    await succeedWith(ledger, await claimAndDispatch(ledger, jobId, 0), 'aé€😀z'.repeat(50))
    let text = ''
    for (let offset = 0, eof = false; !eof; ) {
      const page = await readOutput(ledger, jobId, 'h0', { stream: 'stdout', offset, limitBytes: 7, encoding: 'utf8' })
      if (page === undefined) throw new Error('there is no such run')
      text += page.data
      offset = page.next_offset
      eof = page.eof
    }
    expect(text).toBe('aé€😀z'.repeat(50))
  })
})

describe('waiting', () => {
  test('a waiter wakes when the job ends, whichever process ends it', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    const other = await openLedger({
      redisUrl: sharedRedisUrl(),
      prefix: ledger.keys.base.slice(1, -1),
      role: 'worker',
    })
    const waiting = waitForJob(ledger, jobId, { until: 'done', waitMs: 20_000, signal: new AbortController().signal })
    await succeedWith(other, await claimAndDispatch(other, jobId, 0), 'x')
    await waiting
    expect((await findJob(ledger, jobId))?.state).toBe('succeeded')
    await other.close()
  })

  test('a wait for the end of a job or a pause ends at either, and one for its end alone goes on', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 2, { batches: [1], gate: 'manual' })
    const stop = new AbortController()
    let hasEnded = false
    const forEnd = waitForJob(ledger, jobId, { until: 'done', waitMs: 20_000, signal: stop.signal }).then(() => {
      hasEnded = true
    })
    const either = () => waitForJob(ledger, jobId, { until: 'done_or_paused', waitMs: 20_000, signal: stop.signal })
    const waiting = either()
    await succeedWith(ledger, await claimAndDispatch(ledger, jobId, 0), 'x')
    await waiting
    expect((await findJob(ledger, jobId))?.state).toBe('paused')
    await either()
    expect(hasEnded).toBe(false)
    stop.abort()
    await forEnd
  })

  test('a wait ends with its time, with its signal, and at once for an unknown job', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    const until = 'done'
    await waitForJob(ledger, jobId, { until, waitMs: 50, signal: new AbortController().signal })
    await waitForJob(ledger, jobId, { until, waitMs: 25_000, signal: AbortSignal.timeout(50) })
    const unknown = `job_${'a'.repeat(26)}`
    await waitForJob(ledger, unknown, { until, waitMs: 25_000, signal: new AbortController().signal })
    expect((await findJob(ledger, jobId))?.state).toBe('queued')
  })
})

test('cancelling some thousand hosts of a job lets none of them go meanwhile', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 2_500, { concurrency: 10 })
  const hosts = Array.from({ length: 2_495 }, (_, i) => `h${i + 5}`)
  expect(await cancelJob(ledger, jobId, hosts)).toBe(true)
  expect((await findJob(ledger, jobId))?.counts).toMatchObject({ queued: 5, cancelled: 2_495, pending: 0 })
  const released = await Promise.all([9, 10, 1_005, 2_499].map((i) => findRun(ledger, jobId, `h${i}`)))
  expect(released.map((run) => run?.attempt)).toEqual([1, 0, 0, 0])
})
