/** Ends that workers have signed: whoever can write to Redis makes no success of a failure, and moves no end. */
import type { Reached, Run } from '@muster/contract'
import {
  appendOutput,
  cancelJob,
  claimRun,
  findJob,
  findRun,
  finishRun,
  gatherOutput,
  handOver,
  listJobs,
  listRuns,
  type RunEnd,
  readOutput,
  readRerun,
  readRunGroups,
  reportJob,
} from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { SIGNED_END_FIELDS } from '../../../libs/ledger/src/job/signed-end.ts'
import { claim, ended, exited, refused, start } from '../../support/ledger/held-run.ts'
import { submitTo } from '../../support/ledger/ledger.ts'
import { openSignedLedger, type SignedLedger } from '../../support/ledger/signed-ledger.ts'

const REACHED: Reached = {
  address: '10.0.0.1',
  port: 22,
  jump: null,
  host_key: `SHA256:${'A'.repeat(43)}`,
  user: 'deploy',
  credentials: [{ kind: 'password', fingerprint: null }],
}

const stream = (bytes: number) => ({
  bytes,
  omittedBytes: 0,
  tail: Buffer.alloc(0),
  sha256: bytes.toString(16).padStart(64, 'a'),
})
const printed = (bytes: number) => ({
  stdout: stream(bytes),
  stderr: stream(1),
  complete: true,
  digest: `digest of ${bytes}`,
})

/** An end that says something in each field that a worker signs. */
const FULL: RunEnd = ended({
  state: 'failed',
  reason: 'exit_nonzero',
  detail: 'exit status 3',
  exitCode: 3,
  signal: 'TERM',
  reached: REACHED,
  output: { ...printed(2), complete: false },
})

/** Runs a job on some hosts to its end; the runs end in this order. Returns its ID. */
async function jobThatEnded({ worker }: SignedLedger, ends: readonly RunEnd[], request = {}): Promise<string> {
  const jobId = await submitTo(worker, ends.length, { concurrency: ends.length, ...request })
  for (const [index, end] of ends.entries()) {
    const claimed = end.remote === 'not_started' ? await claim(worker, jobId, index) : await start(worker, jobId, index)
    if (end.output !== undefined) await print(worker, claimed, end.output.stdout.bytes)
    await finishRun(worker, claimed, end)
  }
  return jobId
}

async function print(worker: SignedLedger['worker'], claimed: Awaited<ReturnType<typeof start>>, count: number) {
  await appendOutput(worker, claimed, { stream: 'stdout', side: 'head', offset: 0, bytes: Buffer.alloc(count, 'x') })
  await appendOutput(worker, claimed, { stream: 'stderr', side: 'head', offset: 0, bytes: Buffer.from('e') })
}

async function runOn({ server }: SignedLedger, jobId: string, host = 'h0'): Promise<Run> {
  const run = await findRun(server, jobId, host)
  if (run === undefined) throw new Error(`there is no run on ${host}`)
  return run
}

const UNVERIFIED = {
  state: 'lost',
  remote: 'unknown',
  reason: 'end_unverified',
  vouched_by: null,
  exit_code: null,
  signal: null,
  reached: null,
  safe_to_retry: false,
  output_complete: false,
}

/** Expects that a job says of all its runs what is known: that nothing is, wherever one may ask. */
async function expectAllLost({ server }: SignedLedger, jobId: string, total: number): Promise<void> {
  const lost = { counts: { lost: total, succeeded: 0 }, state: 'failed', budget: { errors: total } }
  expect(await findJob(server, jobId)).toMatchObject(lost)
  const report = await reportJob(server, jobId)
  expect(report).toMatchObject({ ...lost, problems_omitted: 0 })
  expect(report?.problems).toMatchObject([{ state: 'lost', reason: 'end_unverified', exit_code: null, count: total }])
  expect((await listJobs(server, { limit: 10 })).jobs).toMatchObject([lost])
  expect((await listJobs(server, { limit: 10, state: 'succeeded' })).jobs).toEqual([])
  const all = await listRuns(server, jobId, { limit: 10 })
  expect(all?.runs).toMatchObject(Array.from({ length: total }, () => UNVERIFIED))
  expect((await listRuns(server, jobId, { limit: 10, state: 'succeeded' }))?.runs).toEqual([])
  expect((await listRuns(server, jobId, { limit: 10, state: 'lost' }))?.runs).toHaveLength(total)
  const gathered = await gatherOutput(server, jobId, { limitBytes: 100, masks: [], withDiff: false, groupsLimit: 10 })
  const groups = [...(gathered?.groups ?? []), ...(gathered?.without_output ?? [])]
  expect([gathered?.state, ...new Set(groups.map(({ state }) => state))]).toEqual(['failed', 'lost'])
  const told = await readRunGroups(server, jobId)
  expect(told?.state).toBe('failed')
  expect([...(told?.groups ?? [])].every(({ first }) => first.state === 'lost')).toBe(true)
  expect((await readRerun(server, jobId, ['succeeded']))?.hosts).toEqual([])
  expect((await readRerun(server, jobId, ['lost']))?.hosts).toHaveLength(total)
}

describe('an end as its worker has signed it', () => {
  test('is vouched for by the worker, wherever one asks', async () => {
    const ledgers = await openSignedLedger()
    const jobId = await jobThatEnded(ledgers, [FULL, ended({ output: printed(2), reached: REACHED })])
    expect(await runOn(ledgers, jobId)).toMatchObject({ state: 'failed', exit_code: 3, vouched_by: 'worker' })
    expect(await runOn(ledgers, jobId, 'h1')).toMatchObject({ state: 'succeeded', vouched_by: 'worker' })
    expect(await findJob(ledgers.server, jobId)).toMatchObject({
      state: 'partial',
      counts: { succeeded: 1, failed: 1, lost: 0 },
    })
    expect((await readRerun(ledgers.server, jobId, ['succeeded']))?.hosts).toEqual(['h1'])
    expect(ledgers.unverified).toEqual([])
  })

  test('is not vouched for before it has come, nor by a server without keys', async () => {
    const ledgers = await openSignedLedger()
    const jobId = await submitTo(ledgers.worker, 2, { concurrency: 2 })
    await finishRun(ledgers.worker, await start(ledgers.worker, jobId, 0), ended())
    expect(await runOn(ledgers, jobId, 'h1')).toMatchObject({ state: 'queued', vouched_by: null })
    expect(await findRun(ledgers.worker, jobId, 'h0')).toMatchObject({ state: 'succeeded', vouched_by: null })
  })

  test('is vouched for though Redis has lost a part of the output, and the run says that it is not whole', async () => {
    const ledgers = await openSignedLedger()
    const jobId = await submitTo(ledgers.worker, 1)
    await finishRun(ledgers.worker, await start(ledgers.worker, jobId, 0), ended({ output: printed(500) }))
    const run = await runOn(ledgers, jobId)
    expect(run).toMatchObject({ state: 'succeeded', vouched_by: 'worker', output_complete: false })
    expect(run.stdout).toMatchObject({ bytes: 500, omitted_bytes: 500 })
    expect(run.notice).toContain('no room')
  })

  test('is that of the attempt that started, when later ones do not', async () => {
    const ledgers = await openSignedLedger()
    const { worker } = ledgers
    const jobId = await submitTo(worker, 1, { retry_on: [3], retries: 3, retry_backoff_s: 0 })
    const first = await start(worker, jobId, 0)
    await print(worker, first, 2)
    expect(await finishRun(worker, first, FULL)).toBe('retrying')
    expect(await runOn(ledgers, jobId)).toMatchObject({ state: 'retry_wait', vouched_by: null })
    expect(await finishRun(worker, await claim(worker, jobId, 0, 'w2'), refused)).toBe('retrying')
    expect(await finishRun(worker, await start(worker, jobId, 0), { ...refused, reached: REACHED })).toBe('retrying')
    expect(await finishRun(worker, await claim(worker, jobId, 0, 'w2'), { ...refused, detail: 'x' })).toBe('finished')
    expect(await runOn(ledgers, jobId)).toMatchObject({
      state: 'failed',
      exit_code: 3,
      detail: 'exit status 3',
      attempt: 4,
      worker: 'w1',
      vouched_by: 'worker',
      stdout: { bytes: 2 },
    })
  })

  test('is that of the last attempt, whatever those before it have left', async () => {
    const ledgers = await openSignedLedger()
    const { worker } = ledgers
    const jobId = await submitTo(worker, 1, { retries: 3, retry_backoff_s: 0 })
    const told = { ...refused, detail: 'no', reached: REACHED, output: printed(0) }
    expect(await finishRun(worker, await start(worker, jobId, 0), told)).toBe('retrying')
    expect(await finishRun(worker, await claim(worker, jobId, 0), { ...refused, detail: 'no' })).toBe('retrying')
    expect(await finishRun(worker, await claim(worker, jobId, 0), { ...refused, isRetryable: false })).toBe('finished')
    expect(await runOn(ledgers, jobId)).toMatchObject({ state: 'unreachable', detail: null, vouched_by: 'worker' })
  })

  test('of a durable run is that of the worker which took it over', async () => {
    const ledgers = await openSignedLedger()
    const { worker } = ledgers
    const jobId = await submitTo(worker, 1, { durable: true })
    const first = await start(worker, jobId, 0, 'durable')
    await print(worker, first, 2)
    await handOver(worker, first)
    const [attempt, reissue] = await worker.redis.hmget(worker.keys.run(jobId, 0), 'attempt', 'reissue')
    const ticket = { job_id: jobId, index: 0, host: 'h0', attempt: Number(attempt), reissue: Number(reissue) }
    const second = await claimRun(worker, ticket, 'w2')
    if (second === undefined) throw new Error('the run was not taken over')
    await finishRun(worker, second, ended({ output: { ...printed(0), stderr: stream(0) } }))
    expect(await runOn(ledgers, jobId)).toMatchObject({ state: 'succeeded', worker: 'w2', vouched_by: 'worker' })
  })
})

describe('an end without a worker', () => {
  test('is vouched for by the ledger, which says only what it knows', async () => {
    const ledgers = await openSignedLedger()
    const { worker } = ledgers
    const jobId = await submitTo(worker, 3, { concurrency: 1, retries: 2, retry_backoff_s: 60 })
    await finishRun(worker, await claim(worker, jobId, 0), refused)
    await cancelJob(worker, jobId)
    expect((await listRuns(ledgers.server, jobId, { limit: 10 }))?.runs).toMatchObject([
      { state: 'cancelled', remote: 'not_started', vouched_by: 'ledger' },
      { state: 'cancelled', remote: 'not_started', vouched_by: 'ledger' },
      { state: 'cancelled', remote: 'not_started', vouched_by: 'ledger' },
    ])
    expect(await findJob(ledgers.server, jobId)).toMatchObject({ state: 'cancelled', counts: { cancelled: 3 } })
    expect(ledgers.unverified).toEqual([])
  })

  test.each([
    ['an exit code', { exit_code: '0' }],
    ['a success', { state: 'succeeded', remote: 'ended' }],
    ['a success that did not start', { state: 'succeeded' }],
    ['that it was cancelled and the kill confirmed', { remote: 'ended' }],
    ['a failure', { state: 'failed' }],
    ['a signal', { signal: 'KILL' }],
  ])('that claims %s is unverified', async (_what, fields) => {
    const ledgers = await openSignedLedger()
    const jobId = await submitTo(ledgers.worker, 1)
    await cancelJob(ledgers.worker, jobId)
    await ledgers.worker.redis.hset(ledgers.worker.keys.run(jobId, 0), fields)
    expect(await runOn(ledgers, jobId)).toMatchObject(UNVERIFIED)
  })

  test('is what remains of a run that a worker refused, because its job was not signed', async () => {
    const ledgers = await openSignedLedger()
    const { worker } = ledgers
    const jobId = await submitTo(worker, 2, { concurrency: 2 })
    const refusal = { ...refused, state: 'skipped', reason: 'signature_invalid', isRetryable: false } as const
    await finishRun(worker, await claim(worker, jobId, 0), refusal)
    const lost = ended({ state: 'lost', remote: 'unknown', reason: 'signature_invalid', exitCode: null })
    await finishRun(worker, await start(worker, jobId, 1), lost)
    expect(await runOn(ledgers, jobId)).toMatchObject({ state: 'skipped', vouched_by: 'ledger' })
    expect(await runOn(ledgers, jobId, 'h1')).toMatchObject({ state: 'lost', vouched_by: 'ledger' })
  })

  test('cannot be made a success for all the runs that were never released', async () => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const jobId = await submitTo(ledgers.worker, 3, { concurrency: 1 })
    await cancelJob(ledgers.worker, jobId)
    await redis.del(keys.run(jobId, 0))
    await redis.hset(keys.job(jobId), { rest_from: 0, rest_state: 'succeeded', state: 'succeeded', 'n:succeeded': 3 })
    await redis.del(keys.wrong(jobId))
    await expectAllLost(ledgers, jobId, 3)
  })
})

describe('a record of an end', () => {
  /** What each signed field is changed to. */
  const CHANGED: Record<(typeof SIGNED_END_FIELDS)[number] | 'host', string> = {
    state: 'succeeded',
    remote: 'not_started',
    reason: 'signal',
    detail: 'all is well',
    exit_code: '0',
    signal: 'KILL',
    worker: 'w2',
    digest: 'digest of another',
    stdout_sha256: 'b'.repeat(64),
    stderr_sha256: 'b'.repeat(64),
    incomplete: '0',
    reached: JSON.stringify({ ...REACHED, address: '10.0.0.2' }),
    attempt: '2',
    end_attempt: '2',
    stdout: '20',
    stderr: '20',
    signed: 'AAAA',
    host: 'h1',
  }

  test.each(Object.entries(CHANGED))('whose %s was changed is unverified', async (field, value) => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const jobId = await jobThatEnded(ledgers, [FULL])
    expect(await runOn(ledgers, jobId)).toMatchObject({ vouched_by: 'worker' })
    await redis.hset(keys.run(jobId, 0), field, value)
    expect((await listRuns(ledgers.server, jobId, { limit: 1 }))?.runs).toMatchObject([UNVERIFIED])
  })

  const NEEDED = SIGNED_END_FIELDS.filter((field) => field !== 'end_attempt')
  test.each(NEEDED)('whose %s was taken away is unverified', async (field) => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const jobId = await jobThatEnded(ledgers, [FULL])
    await redis.hdel(keys.run(jobId, 0), field)
    if (field === 'state') return expect((await runOn(ledgers, jobId)).state).toBe('lost')
    expect(await runOn(ledgers, jobId)).toMatchObject(UNVERIFIED)
  })

  test('that says succeeded instead of failed makes no success, wherever one asks', async () => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const jobId = await jobThatEnded(ledgers, [exited(3), exited(3)])
    for (const index of [0, 1]) {
      await redis.hset(keys.run(jobId, index), { state: 'succeeded', exit_code: 0 })
      await redis.hdel(keys.run(jobId, index), 'reason')
    }
    await redis.hset(keys.job(jobId), { state: 'succeeded', 'n:failed': 0, 'n:succeeded': 2 })
    await redis.del(keys.wrong(jobId), keys.errors(jobId))
    await expectAllLost(ledgers, jobId, 2)
    const told = await runOn(ledgers, jobId)
    expect(told.detail).toContain('succeeded, exit code 0, but no signature of a worker covers that')
    expect(ledgers.unverified[0]).toEqual({ jobId, index: 0, host: 'h0', said: 'succeeded, exit code 0' })
  })

  test('is that of its own run: moved to another run, or to another job, it is unverified', async () => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const good = await jobThatEnded(ledgers, [ended(), exited(3)])
    const bad = await jobThatEnded(ledgers, [exited(3)])
    const record = await redis.hgetall(keys.run(good, 0))
    for (const key of [keys.run(good, 1), keys.run(bad, 0)]) {
      await redis.del(key)
      await redis.hset(key, record)
    }
    expect(await runOn(ledgers, good, 'h1')).toMatchObject(UNVERIFIED)
    expect(await runOn(ledgers, bad)).toMatchObject(UNVERIFIED)
    expect(await runOn(ledgers, good)).toMatchObject({ state: 'succeeded', vouched_by: 'worker' })
    expect(await findJob(ledgers.server, bad)).toMatchObject({ state: 'failed', counts: { succeeded: 0, lost: 1 } })
  })

  test('stays with its host: hosts that were exchanged have no verified end', async () => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const jobId = await jobThatEnded(ledgers, [ended(), exited(3)])
    await redis.lset(keys.hosts(jobId), 0, 'h1')
    await redis.lset(keys.hosts(jobId), 1, 'h0')
    expect(await runOn(ledgers, jobId, 'h0')).toMatchObject({ host: 'h0', ...UNVERIFIED })
    expect(await runOn(ledgers, jobId, 'h1')).toMatchObject({ host: 'h1', ...UNVERIFIED })
    expect((await readRerun(ledgers.server, jobId, ['succeeded', 'failed']))?.hosts).toEqual([])
    const page = { stream: 'stdout', offset: 0, limitBytes: 10, encoding: 'utf8' } as const
    expect(await readOutput(ledgers.server, jobId, 'h0', page)).toMatchObject({ host: 'h0', unverified: true })
    expect(await findJob(ledgers.server, jobId)).toMatchObject({ counts: { succeeded: 0, failed: 0, lost: 2 } })
    // So are they when the records name them too.
    await redis.hset(keys.run(jobId, 0), 'host', 'h1')
    await redis.hset(keys.run(jobId, 1), 'host', 'h0')
    expect((await listRuns(ledgers.server, jobId, { limit: 2 }))?.runs).toMatchObject([UNVERIFIED, UNVERIFIED])
  })
})

describe('the counts and the state of a job', () => {
  test('that has ended are those of its runs, whatever Redis counts', async () => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const jobId = await jobThatEnded(ledgers, [ended(), exited(3)])
    await redis.hset(keys.job(jobId), { state: 'succeeded', 'n:failed': 0, 'n:succeeded': 2 })
    const told = { state: 'partial', counts: { succeeded: 1, failed: 1 }, budget: { errors: 1 } }
    expect(await findJob(ledgers.server, jobId)).toMatchObject(told)
    expect(await reportJob(ledgers.server, jobId)).toMatchObject({ ...told, problems_omitted: 0 })
    expect((await listJobs(ledgers.server, { limit: 1, state: 'succeeded' })).jobs).toEqual([])
    // What was counted once stays, though the record of a run is changed later.
    await redis.hset(keys.run(jobId, 1), { state: 'succeeded', exit_code: 0 })
    expect(await findJob(ledgers.server, jobId)).toMatchObject(told)
  })

  test('do not become better when the hosts that went wrong are taken out of the job', async () => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const jobId = await jobThatEnded(ledgers, [ended(), exited(3)])
    await redis.hset(keys.job(jobId), { state: 'succeeded', total: 1, 'n:failed': 0 })
    await redis.rpop(keys.hosts(jobId))
    await redis.del(keys.run(jobId, 1), keys.wrong(jobId), keys.errors(jobId))
    await expectAllLost(ledgers, jobId, 1)
  })

  test.each([0, -1, 3, 1_000_000, 1_000_000_000])('are not told of a record that says %s hosts', async (total) => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const jobId = await jobThatEnded(ledgers, [exited(3), exited(3)])
    await redis.hset(keys.job(jobId), { state: 'succeeded', total, version: 99 })
    for (const read of [findJob, reportJob, readRunGroups]) {
      await expect(read(ledgers.server, jobId)).rejects.toThrow(expect.objectContaining({ code: 'job_damaged' }))
    }
    expect((await listJobs(ledgers.server, { limit: 9 })).jobs).toEqual([])
  })

  test('that goes on are its progress, and are told as Redis has them', async () => {
    const ledgers = await openSignedLedger()
    const jobId = await submitTo(ledgers.worker, 2, { concurrency: 2 })
    await finishRun(ledgers.worker, await start(ledgers.worker, jobId, 0), ended())
    expect(await findJob(ledgers.server, jobId)).toMatchObject({
      state: 'running',
      counts: { succeeded: 1, queued: 1 },
    })
  })
})

describe('a late result', () => {
  async function lateJob({ worker }: SignedLedger): Promise<string> {
    const jobId = await submitTo(worker, 1)
    const claimed = await start(worker, jobId, 0)
    await worker.redis.hincrby(worker.keys.run(jobId, 0), 'epoch', 1)
    await worker.redis.hset(worker.keys.run(jobId, 0), { state: 'lost', remote: 'unknown', reason: 'worker_lost' })
    expect(await finishRun(worker, claimed, exited(3))).toBe('fenced')
    return jobId
  }

  test('is told as its worker has signed it, beside an end of the ledger', async () => {
    const ledgers = await openSignedLedger()
    const run = await runOn(ledgers, await lateJob(ledgers))
    expect(run).toMatchObject({ state: 'lost', vouched_by: 'ledger', late_result: { state: 'failed', exit_code: 3 } })
    expect(run.late_result).not.toHaveProperty('signed')
  })

  test.each([
    ['another state', { state: 'succeeded' }],
    ['another exit code', { exit_code: 0 }],
    ['no signature', { signed: undefined }],
  ])('with %s is not told', async (_what, changed) => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const jobId = await lateJob(ledgers)
    const late: unknown = JSON.parse((await redis.hget(keys.run(jobId, 0), 'late_result')) ?? '')
    await redis.hset(keys.run(jobId, 0), 'late_result', JSON.stringify(Object.assign({}, late, changed)))
    expect(await runOn(ledgers, jobId)).toMatchObject({ state: 'lost', late_result: null })
  })

  test('is no end: its signature does not fit one', async () => {
    const ledgers = await openSignedLedger()
    const { redis, keys } = ledgers.worker
    const jobId = await lateJob(ledgers)
    const late = JSON.parse((await redis.hget(keys.run(jobId, 0), 'late_result')) ?? '{}')
    const told = { state: 'failed', remote: 'ended', reason: 'exit_nonzero', exit_code: 3, signed: late.signed }
    await redis.hset(keys.run(jobId, 0), told)
    expect(await runOn(ledgers, jobId)).toMatchObject(UNVERIFIED)
  })
})
