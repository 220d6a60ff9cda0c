/** A Redis that has forgotten what it answered, as after a failover or with a torn log: no two claims pass for one. */
import {
  appendOutput,
  dispatchRun,
  fallBackToAttached,
  finishRun,
  handOver,
  holdsClaim,
  type Ledger,
  readOutput,
  startHeartbeat,
} from '@muster/ledger'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { takeMemory } from '../../support/ledger/forgetful.ts'
import { claim, ended, exited, firstRun, start } from '../../support/ledger/held-run.ts'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'

/** All that Redis holds of a job with one run on `h0`. */
function memoryOf({ redis, keys }: Ledger, jobId: string) {
  const places = `${keys.base}:host:h0:change`
  return takeMemory(redis, [keys.job(jobId), keys.run(jobId, 0), keys.open(jobId), places, `${places}:waiting`])
}

/** Two workers with the same epoch: the claim of the first was forgotten. */
async function twoClaims(ledger: Ledger) {
  const jobId = await submitTo(ledger, 1)
  const memory = await memoryOf(ledger, jobId)
  const forgotten = await claim(ledger, jobId, 0, 'w1')
  await memory.restore()
  const held = await claim(ledger, jobId, 0, 'w2')
  expect(held.epoch).toBe(forgotten.epoch)
  return { jobId, forgotten, held }
}

describe('a claim that Redis forgot, and whose epoch it gave out again,', () => {
  test('gets no second go, whichever asks first', async () => {
    const ledger = await openTestLedger()
    const { forgotten, held } = await twoClaims(ledger)
    const sent = { connectMs: 5, mode: 'attached' } as const
    expect(await dispatchRun(ledger, forgotten, sent)).toEqual({ word: 'fenced' })
    expect(await dispatchRun(ledger, held, sent)).toMatchObject({ word: 'go' })
    expect(await dispatchRun(ledger, forgotten, sent)).toEqual({ word: 'fenced' })
    expect(await holdsClaim(ledger, forgotten)).toBe(false)
    expect(await holdsClaim(ledger, held)).toBe(true)
  })

  test('does not end the run of the other with its failure, before or after', async () => {
    const ledger = await openTestLedger()
    const { jobId, forgotten, held } = await twoClaims(ledger)
    await dispatchRun(ledger, held, { connectMs: 5, mode: 'attached' })
    expect(await finishRun(ledger, forgotten, exited(7))).toBe('fenced')
    expect(await finishRun(ledger, held, ended())).toBe('finished')
    expect(await finishRun(ledger, forgotten, exited(7))).toBe('fenced')
    const run = await firstRun(ledger, jobId)
    expect(run).toMatchObject({ state: 'succeeded', exit_code: 0, late_result: { state: 'failed', exit_code: 7 } })
  })

  test('writes no output into the run of the other, makes it not attached, and hands it to nobody', async () => {
    const ledger = await openTestLedger()
    const { jobId, forgotten, held } = await twoClaims(ledger)
    await dispatchRun(ledger, held, { connectMs: 5, mode: 'durable' })
    const part = { stream: 'stdout', side: 'head', offset: 0, bytes: Buffer.from('x') } as const
    expect(await appendOutput(ledger, forgotten, part)).toBe('fenced')
    expect(await fallBackToAttached(ledger, forgotten, 'no room')).toBe(false)
    expect(await handOver(ledger, forgotten)).toBe(false)
    expect(await firstRun(ledger, jobId)).toMatchObject({ state: 'running', mode: 'durable', stdout: { bytes: 0 } })
    expect(await handOver(ledger, held)).toBe(true)
  })

  test('does not keep the run from being settled, where its worker knows no newer one', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    const memory = await memoryOf(ledger, jobId)
    const forgotten = await start(ledger, jobId, 0)
    await memory.restore()
    // The reply of the second claim was lost for good: its worker holds the first.
    await start(ledger, jobId, 0)
    const quiet = { onError: () => {}, onLapse: () => {}, places: 1 }
    const lease = await startHeartbeat(ledger, 'w1', { ...quiet, claims: () => [forgotten] })
    onTestFinished(() => lease.stop())
    await sweep(ledger, { ticketGraceMs: 3_600_000, suspectMs: 0, claimNamedMs: 0 })
    expect(await firstRun(ledger, jobId)).toMatchObject({ state: 'lost', reason: 'worker_lost' })
  })
})

test('output that has forgotten bytes before it is refused, and what is missing is reported', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1)
  const claimed = await start(ledger, jobId, 0)
  const head = (offset: number, text: string) =>
    appendOutput(ledger, claimed, { stream: 'stdout', side: 'head', offset, bytes: Buffer.from(text) })
  expect(await head(0, 'one ')).toBe('ok')
  const memory = await memoryOf(ledger, jobId)
  const output = await takeMemory(ledger.redis, [ledger.keys.head(jobId, 0, 'stdout')])
  expect(await head(4, 'two ')).toBe('ok')
  await Promise.all([memory.restore(), output.restore()])
  expect(await head(8, 'three ')).toBe('gap')
  // A worker that still has them may send them again.
  expect(await head(4, 'two ')).toBe('ok')
  await output.restore()
  const stdout = { bytes: 18, omittedBytes: 0, tail: Buffer.from('four'), sha256: 'x' }
  const stderr = { bytes: 0, omittedBytes: 0, tail: Buffer.alloc(0), sha256: 'y' }
  await finishRun(ledger, claimed, ended({ output: { stdout, stderr, complete: true, digest: 'd' } }))
  const run = await firstRun(ledger, jobId)
  expect(run).toMatchObject({ state: 'succeeded', stdout: { bytes: 18, omitted_bytes: 10 }, output_complete: false })
  expect(run.notice).toContain('has forgotten it')
  const read = (offset: number) =>
    readOutput(ledger, jobId, 'h0', { stream: 'stdout', offset, limitBytes: 100, encoding: 'utf8' })
  expect(await read(0)).toMatchObject({ data: 'one ', next_offset: 4, total_bytes: 18 })
  expect(await read(4)).toMatchObject({ offset: 14, data: 'four', omitted_bytes: 10, eof: true })
})

test('a worker is told that Redis forgot its dispatch mark, and writes it again', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1, { retries: 1, retry_on: [75], retry_backoff_s: 0 })
  const part = { stream: 'stdout', side: 'head', offset: 0 } as const
  const first = await start(ledger, jobId, 0)
  await appendOutput(ledger, first, { ...part, bytes: Buffer.from('of the first') })
  await finishRun(ledger, first, exited(75))
  const claimed = await claim(ledger, jobId, 0)
  const sent = { connectMs: 5, mode: 'durable' } as const
  const [memory, head] = [await memoryOf(ledger, jobId), ledger.keys.head(jobId, 0, 'stdout')]
  const output = await takeMemory(ledger.redis, [head, `${head}:kept`])
  await dispatchRun(ledger, claimed, sent)
  await Promise.all([memory.restore(), output.restore()])
  expect(await appendOutput(ledger, claimed, { ...part, bytes: Buffer.from('second') })).toBe('unmarked')
  expect(await dispatchRun(ledger, claimed, sent)).toMatchObject({ word: 'go' })
  expect(await appendOutput(ledger, claimed, { ...part, bytes: Buffer.from('second') })).toBe('ok')
  expect(await firstRun(ledger, jobId)).toMatchObject({ state: 'running', mode: 'durable', stdout: { bytes: 6 } })
})

test('a worker of an older Muster, whose lease names its claims in another way, keeps its runs', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1)
  const { epoch } = await start(ledger, jobId, 0)
  await ledger.redis.set(ledger.keys.worker('w1'), JSON.stringify([`${jobId}:0:${epoch}`]))
  await sweep(ledger, { ticketGraceMs: 3_600_000, suspectMs: 0, claimNamedMs: 0 })
  expect(await firstRun(ledger, jobId)).toMatchObject({ state: 'running' })
})
