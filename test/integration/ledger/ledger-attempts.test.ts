/** What is left of an attempt when others follow, and requests that come twice or late. */
import { type Reached, Submit } from '@muster/contract'
import {
  appendOutput,
  type Claim,
  dispatchRun,
  findJob,
  findRun,
  finishRun,
  type Ledger,
  openBreakers,
  readOutput,
  readRerun,
  setConcurrency,
  submitJob,
} from '@muster/ledger'
import { expect, test } from 'vitest'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'
import { claimIndex, ENDS, endAs } from '../../support/ledger/ledger-worker.ts'

async function claimFirst(ledger: Ledger, jobId: string, index = 0): Promise<Claim> {
  const claim = await claimIndex(ledger, jobId, index)
  if (claim === undefined) throw new Error('the run could not be claimed')
  return claim
}

test('output of an attempt that ran outlives one that was marked but never sent, and one never marked', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1, { retry_on: [1], retries: 3, retry_backoff_s: 0 })
  const ran = await claimFirst(ledger, jobId)
  await dispatchRun(ledger, ran, { connectMs: 1, mode: 'attached' })
  const bytes = Buffer.from('precious')
  await appendOutput(ledger, ran, { stream: 'stdout', side: 'head', offset: 0, bytes })
  const stream = (count: number) => ({ bytes: count, omittedBytes: 0, tail: Buffer.alloc(0), sha256: 'x' })
  const output = { stdout: stream(bytes.length), stderr: stream(0), complete: true, digest: 'd' }
  const rest = { detail: null, signal: null }
  expect(await finishRun(ledger, ran, { ...ENDS.failed, ...rest, isRetryable: false, output })).toBe('retrying')

  const marked = await claimFirst(ledger, jobId)
  await dispatchRun(ledger, marked, { connectMs: 1, mode: 'attached' })
  expect(await finishRun(ledger, marked, { ...ENDS.refused, ...rest, isRetryable: true })).toBe('retrying')
  await endAs(ledger, await claimFirst(ledger, jobId), 'denied')
  expect(await findRun(ledger, jobId, 'h0')).toMatchObject({ state: 'failed', exit_code: 1, stdout: { bytes: 8 } })
  const page = { stream: 'stdout', offset: 0, limitBytes: 100, encoding: 'utf8' } as const
  expect(await readOutput(ledger, jobId, 'h0', page)).toMatchObject({ data: 'precious', eof: true })
})

test('a rerun that is asked for twice under one key is one, though more hosts have failed meanwhile', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 3, { concurrency: 3 })
  const rerun = async (states: readonly ('failed' | 'lost')[]) => {
    const again = await readRerun(ledger, jobId, states)
    if (again === undefined) throw new Error('there is no such job')
    const request = Submit.parse({ ...again.request, idempotency_key: 'once' })
    return await submitJob(ledger, { request, hosts: again.hosts, owner: 'me', rerun: { of: jobId, states } })
  }
  await endAs(ledger, await claimFirst(ledger, jobId), 'failed')
  const { jobId: first } = await rerun(['failed'])
  await endAs(ledger, await claimFirst(ledger, jobId, 1), 'failed')
  expect(await rerun(['failed'])).toEqual({ jobId: first, created: false })
  await expect(rerun(['failed', 'lost'])).rejects.toMatchObject({ code: 'idempotency_conflict' })
})

test('changing the fan-out of a job whose time is over ends it, as nothing of it waits any more', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 3)
  await ledger.redis.hset(ledger.keys.job(jobId), 'start_deadline', 1)
  await setConcurrency(ledger, jobId, 2)
  expect(await findJob(ledger, jobId)).toMatchObject({ state: 'failed', counts: { skipped: 3 } })
})

test('a breaker that is open for log-ins is not shortened by failures to connect', async () => {
  const ledger = await openTestLedger()
  const fail = async (name: 'refused' | 'denied') => {
    await endAs(ledger, await claimFirst(ledger, await submitTo(ledger, 1, { force: true })), name)
  }
  await fail('denied')
  await fail('denied')
  for (let i = 0; i < 5; i += 1) await fail('refused')
  const open = (await openBreakers(ledger)).get('h0')
  expect([open?.kind, (open?.untilMs ?? 0) - Date.now() > 800_000]).toEqual(['auth', true])
})

const reachedAt = (address: string): Reached => ({
  address,
  port: 22,
  jump: null,
  host_key: null,
  user: 'deploy',
  credentials: [{ kind: 'password', fingerprint: null }],
})

test('a run reports what its last attempt reached; but once one has started, what that one did', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1, { retry_on: [1], retries: 5, retry_backoff_s: 0 })
  const reached = async () => (await findRun(ledger, jobId, 'h0'))?.reached?.address
  const refuse = async (where: { reached?: Reached }) =>
    await finishRun(ledger, await claimFirst(ledger, jobId), {
      ...ENDS.refused,
      detail: null,
      signal: null,
      isRetryable: true,
      ...where,
    })
  await refuse({ reached: reachedAt('10.0.0.1') })
  expect(await reached()).toBe('10.0.0.1')
  await refuse({})
  expect(await reached()).toBeUndefined()

  const ran = await claimFirst(ledger, jobId)
  const second = { reached: reachedAt('10.0.0.2') }
  await dispatchRun(ledger, ran, { connectMs: 1, mode: 'attached', ...second })
  await finishRun(ledger, ran, { ...ENDS.failed, detail: null, signal: null, isRetryable: false, ...second })
  await refuse({ reached: reachedAt('10.0.0.3') })
  expect(await reached()).toBe('10.0.0.2')

  const marked = await claimFirst(ledger, jobId)
  await dispatchRun(ledger, marked, { connectMs: 1, mode: 'attached', reached: reachedAt('10.0.0.4') })
  expect(await reached()).toBe('10.0.0.4')
  await finishRun(ledger, marked, { ...ENDS.refused, detail: null, signal: null, isRetryable: true })
  expect(await reached()).toBe('10.0.0.2')
})
