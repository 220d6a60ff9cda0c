/** Pages of runs and jobs against a real Redis: complete, never empty in a row, and told only their own cursors. */
import { type Job, type JobState, type Run, RunState, Submit } from '@muster/contract'
import { cancelJob, findRun, type Ledger, listJobs, listRuns, submitJob } from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { ended, refused } from '../../support/ledger/held-run.ts'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'
import { printAndEnd } from '../../support/ledger/printed-run.ts'

const REQUEST = { command: 'true', targets: 'h0' }

/** All pages of a state, or of all runs, and how many calls they took. */
async function allRuns(ledger: Ledger, jobId: string, limit: number, state?: RunState) {
  const runs: Run[] = []
  const sizes: number[] = []
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await listRuns(ledger, jobId, { state, limit, cursor })
    if (page === undefined) throw new Error('there is no such job')
    runs.push(...page.runs)
    sizes.push(page.runs.length)
    cursor = page.next_cursor
  }
  return { runs, sizes, indexes: runs.map(({ index }) => index) }
}

/** A job with runs in many states: 0 and 7 failed, 3 succeeded, 5 unreachable, 8 running, 1 and others open. */
async function mixedJob(ledger: Ledger): Promise<string> {
  const jobId = await submitTo(ledger, 40, { concurrency: 10, retries: 0 })
  await printAndEnd(ledger, jobId, 7, { exitCode: 1 })
  await printAndEnd(ledger, jobId, 0, { exitCode: 1 })
  await printAndEnd(ledger, jobId, 3, {})
  await printAndEnd(ledger, jobId, 5, { end: ended({ ...refused, isRetryable: false }) })
  await printAndEnd(ledger, jobId, 8, {}, true)
  return jobId
}

describe('the runs of a job', () => {
  test('are found by state wherever they are, each once, in the order of the set', async () => {
    const ledger = await openTestLedger()
    const jobId = await mixedJob(ledger)
    const { runs } = await allRuns(ledger, jobId, 7)
    expect(runs.map(({ index }) => index)).toEqual(Array.from({ length: 40 }, (_, i) => i))
    for (const state of RunState.options) {
      const expected = runs.filter((run) => run.state === state)
      for (const limit of [1, 3, 100]) {
        const { runs: found, sizes } = await allRuns(ledger, jobId, limit, state)
        expect(found).toEqual(expected)
        // No page is empty but the only one of a state that no run is in, and none is short but the last.
        expect(sizes).toHaveLength(Math.max(1, Math.ceil(expected.length / limit)))
      }
    }
    expect((await allRuns(ledger, jobId, 100, 'failed')).indexes).toEqual([0, 7])
  })

  test('are found by state when most of them ended with their job and have no record', async () => {
    const ledger = await openTestLedger()
    const jobId = await mixedJob(ledger)
    await cancelJob(ledger, jobId)
    const { runs } = await allRuns(ledger, jobId, 100)
    for (const state of RunState.options) {
      const expected = runs.filter((run) => run.state === state).map(({ index }) => index)
      expect((await allRuns(ledger, jobId, 4, state)).indexes).toEqual(expected)
    }
    expect(runs.filter((run) => run.state === 'cancelled')).toHaveLength(35)
    expect(runs[39]).toMatchObject({ host: 'h39', state: 'cancelled', reason: 'cancelled_by_user', attempt: 0 })
  })

  test('may be three among ten thousand, and then take two calls of two', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 10_000, { concurrency: 100, retries: 0 })
    for (const index of [99, 3, 50]) await printAndEnd(ledger, jobId, index, { exitCode: 1 })
    const { indexes, sizes } = await allRuns(ledger, jobId, 2, 'failed')
    expect([indexes, sizes]).toEqual([
      [3, 50, 99],
      [2, 1],
    ])
    await printAndEnd(ledger, jobId, 98, {})
    expect((await allRuns(ledger, jobId, 2, 'succeeded')).sizes).toEqual([1])
  })

  test('are read when what goes without saying is not stored', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 3)
    await printAndEnd(ledger, jobId, 1, {})
    const before = await findRun(ledger, jobId, 'h1')
    const spared = ['host', 'attempt', 'stdout', 'stderr', 'stdout_omitted', 'stderr_omitted', 'stdout_sha256']
    await ledger.redis.hdel(ledger.keys.run(jobId, 1), ...spared, 'stderr_sha256')
    expect(before?.stdout).toEqual({ bytes: 0, omitted_bytes: 0, sha256: expect.stringMatching(/^e3b0c442/) })
    expect(await findRun(ledger, jobId, 'h1')).toEqual(before)
    await ledger.redis.hdel(ledger.keys.run(jobId, 2), 'remote', 'host', 'attempt')
    expect(await findRun(ledger, jobId, 'h2')).toMatchObject({
      remote: 'not_started',
      attempt: 1,
      stdout: { sha256: null },
    })
  })
})

describe('a cursor', () => {
  const jobCursor = Buffer.from(`jobs:job_${'a'.repeat(26)}`).toString('base64url')
  test.each(['', '0', '7', 'x', 'runs:7', jobCursor, Buffer.from('runs:-1').toString('base64url'), 'cnVuczo3!'])(
    'for runs that no page gave out is refused: %j',
    async (cursor) => {
      const ledger = await openTestLedger()
      const jobId = await submitTo(ledger, 3)
      const refusal = { code: 'invalid_request', details: { field: 'cursor' } }
      await expect(listRuns(ledger, jobId, { limit: 1, cursor })).rejects.toMatchObject(refusal)
    },
  )

  test('of another job, or of another filter, is refused', async () => {
    const ledger = await openTestLedger()
    const [one, other] = [await submitTo(ledger, 3), await submitTo(ledger, 3)]
    const refusal = { code: 'invalid_request', details: { field: 'cursor' } }
    const runs = (await listRuns(ledger, one, { limit: 1 }))?.next_cursor ?? ''
    expect((await listRuns(ledger, one, { limit: 1, cursor: runs }))?.runs).toMatchObject([{ index: 1 }])
    await expect(listRuns(ledger, other, { limit: 1, cursor: runs })).rejects.toMatchObject(refusal)
    await expect(listRuns(ledger, one, { limit: 1, cursor: runs, state: 'queued' })).rejects.toMatchObject(refusal)
    const queued = (await listRuns(ledger, one, { limit: 1, state: 'queued' }))?.next_cursor ?? ''
    await expect(listRuns(ledger, one, { limit: 1, cursor: queued })).rejects.toMatchObject(refusal)
    const jobs = (await listJobs(ledger, { limit: 1, state: 'queued' })).next_cursor ?? ''
    expect((await listJobs(ledger, { limit: 1, state: 'queued', cursor: jobs })).jobs).toMatchObject([{ job_id: one }])
    await expect(listJobs(ledger, { limit: 1, cursor: jobs })).rejects.toMatchObject(refusal)
    await expect(listJobs(ledger, { limit: 1, cursor: jobs, state: 'failed' })).rejects.toMatchObject(refusal)
  })

  test('for jobs that is one for runs is refused', async () => {
    const ledger = await openTestLedger()
    const page = await listRuns(ledger, await submitTo(ledger, 3), { limit: 1 })
    await expect(listJobs(ledger, { limit: 1, cursor: page?.next_cursor ?? '' })).rejects.toMatchObject({
      code: 'invalid_request',
    })
  })
})

test('jobs are filtered by state over pages, newest first', async () => {
  const ledger = await openTestLedger()
  const jobIds: string[] = []
  for (let i = 0; i < 9; i += 1) jobIds.push(await submitTo(ledger, 1))
  const cancelled = jobIds.filter((_, i) => i % 2 === 1)
  for (const jobId of cancelled) await cancelJob(ledger, jobId)
  const all = async (limit: number, state?: JobState) => {
    const jobs: Job[] = []
    const sizes: number[] = []
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await listJobs(ledger, { limit, state, cursor })
      jobs.push(...page.jobs)
      sizes.push(page.jobs.length)
      cursor = page.next_cursor
    }
    return { ids: jobs.map((job) => job.job_id), sizes }
  }
  expect((await all(2)).ids).toEqual(jobIds.toReversed())
  expect(await all(3, 'cancelled')).toEqual({ ids: cancelled.toReversed(), sizes: [3, 1] })
  expect(await all(5, 'succeeded')).toEqual({ ids: [], sizes: [0] })
})

test('the jobs of an owner are those among all jobs that are theirs, in the same order, by state too', async () => {
  const ledger = await openTestLedger()
  const owners = ['ann', 'bob', 'ann.b']
  for (let i = 0; i < 12; i += 1) {
    const owner = owners[i % 5] ?? 'ann'
    const { jobId } = await submitJob(ledger, { request: Submit.parse(REQUEST), hosts: ['h0'], owner, keyId: `k${i}` })
    if (i % 2 === 0) await cancelJob(ledger, jobId)
  }
  const all = (await listJobs(ledger, { limit: 100 })).jobs
  for (const owner of [...owners, 'nobody']) {
    for (const state of [undefined, 'cancelled', 'queued'] as const) {
      const theirs = all.filter((job) => job.owner === owner && (state ?? job.state) === job.state)
      expect((await listJobs(ledger, { owner, state, limit: 100 })).jobs).toEqual(theirs)
    }
  }
  expect(new Set(all.map(({ submitted_by: keyId }) => keyId)).size).toBe(12)
})
