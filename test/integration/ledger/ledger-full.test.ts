/** A Redis that is full: everything that ends, frees, renews or steers gets in; what would make it grow is refused. */
import { ensureFirstKey, openKeyStore, revokeKey } from '@muster/access'
import { ALL_SCOPES } from '@muster/contract'
import {
  appendOutput,
  cancelJob,
  dispatchRun,
  durableSecret,
  extendJob,
  fallBackToAttached,
  findJob,
  findRun,
  finishRun,
  handOver,
  type Ledger,
  openLedger,
  resumeJob,
  setConcurrency,
  startClockwork,
  startHeartbeat,
} from '@muster/ledger'
import { Queue } from 'bullmq'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { withMacs } from '../../support/access/key-ledger.ts'
import { FIRST, makeKey } from '../../support/access/keys.ts'
import { fillRedis, giveRoom, usedBytes } from '../../support/ledger/full-redis.ts'
import { claim, ended, exited, firstRun, start } from '../../support/ledger/held-run.ts'
import { submitTo } from '../../support/ledger/ledger.ts'
import { ownRedis } from '../../support/runtime/own-redis.ts'
import { temporaryDataDir } from '../../support/server/server.ts'

const AT_ONCE = { ticketGraceMs: 0, suspectMs: 0, claimNamedMs: 3_600_000 }
const SENT = { connectMs: 5, mode: 'attached' } as const

/** A ledger of its own Redis. */
async function openOwn(role: 'server' | 'worker' = 'worker'): Promise<Ledger> {
  const { url } = await ownRedis()
  const ledger = await openLedger({ redisUrl: url, role })
  onTestFinished(() => ledger.close())
  return ledger
}

describe('a Redis that is full', () => {
  test('refuses a job with a code of its own, stores nothing of it, and knows one that it took before', async () => {
    const ledger = await openOwn()
    const request = { idempotency_key: 'once' }
    const large = { idempotency_key: 'large', stdin: 'x'.repeat(100_000) }
    const [jobId, largeJobId] = [await submitTo(ledger, 2, request), await submitTo(ledger, 1, large)]
    await fillRedis(ledger.redis)
    const before = await ledger.redis.dbsize()
    for (const refused of [{}, { idempotency_key: 'other' }, { ...large, idempotency_key: 'other' }]) {
      await expect(submitTo(ledger, 2, refused)).rejects.toMatchObject({ code: 'ledger_full' })
    }
    expect(await ledger.redis.dbsize()).toBe(before)
    expect(await submitTo(ledger, 2, request)).toBe(jobId)
    expect(await submitTo(ledger, 1, large)).toBe(largeJobId)
    await giveRoom(ledger.redis)
    expect(await submitTo(ledger, 2, { idempotency_key: 'other' })).toMatch(/^job_/)
  })

  test('refuses a job while an eighth is left, also one that would take that eighth', async () => {
    const ledger = await openOwn()
    // Far more than a connection's buffers, which count as used when this looks, and which Redis frees when it likes.
    const stdin = 'x'.repeat(12_000_000)
    await giveRoom(ledger.redis, 64 * 1024 * 1024)
    expect(await submitTo(ledger, 1, { stdin })).toMatch(/^job_/)
    await giveRoom(ledger.redis, Math.ceil((((await usedBytes(ledger.redis)) + 6_000_000) * 8) / 7))
    await expect(submitTo(ledger, 1, { stdin })).rejects.toMatchObject({ code: 'ledger_full' })
    expect(await submitTo(ledger, 1)).toMatch(/^job_/)
  })

  test('takes claims, dispatch marks and ends, and the next runs get their tickets once there is room', async () => {
    const ledger = await openOwn()
    const jobId = await submitTo(ledger, 3, { concurrency: 1, retries: 1, retry_on: [75], retry_backoff_s: 0 })
    await ledger.redis.set(ledger.keys.worker('w1'), 1)
    await fillRedis(ledger.redis)
    const first = await claim(ledger, jobId, 0)
    expect(await dispatchRun(ledger, first, SENT)).toMatchObject({ word: 'go' })
    expect(await finishRun(ledger, first, ended())).toBe('finished')
    expect(await findRun(ledger, jobId, 'h0')).toMatchObject({ state: 'succeeded' })
    expect(await ledger.tickets.getJob(`${jobId}-1-1`)).toBeUndefined()
    await giveRoom(ledger.redis)
    await sweep(ledger, AT_ONCE)
    expect(await ledger.tickets.getJob(`${jobId}-1-1`)).toBeDefined()
    await fillRedis(ledger.redis)
    expect(await finishRun(ledger, await start(ledger, jobId, 1), exited(75))).toBe('retrying')
    expect(await finishRun(ledger, await start(ledger, jobId, 1), exited(75))).toBe('finished')
    await finishRun(ledger, await start(ledger, jobId, 2), ended())
    expect(await findJob(ledger, jobId)).toMatchObject({ state: 'partial', counts: { succeeded: 2, failed: 1 } })
  })

  test('takes orders: cancel, extend, resume, another concurrency', async () => {
    const ledger = await openOwn('server')
    const rollout = { batches: [1], gate: 'manual' }
    const [paused, running] = [
      await submitTo(ledger, 3, rollout, 'p'),
      await submitTo(ledger, 2, { exec_timeout_s: 60 }),
    ]
    await finishRun(ledger, await start(ledger, paused, 0), ended())
    await start(ledger, running, 0)
    await fillRedis(ledger.redis)
    expect(await extendJob(ledger, running, 120_000)).toBe('raised')
    expect(await setConcurrency(ledger, running, 1)).toBe('changed')
    expect(await resumeJob(ledger, paused)).toBe('resumed')
    expect(await cancelJob(ledger, running)).toBe(true)
    expect(await cancelJob(ledger, paused, ['p2'])).toBe(true)
    expect(await findJob(ledger, running)).toMatchObject({ state: 'cancelling', counts: { cancelled: 1, running: 1 } })
    expect(await findJob(ledger, paused)).toMatchObject({ state: 'running', counts: { cancelled: 1 } })
  })

  test('renews leases, settles the runs of dead workers, and lets runs change hands', async () => {
    const ledger = await openOwn()
    const jobId = await submitTo(ledger, 4)
    const [kept, durable, fallen] = [
      await start(ledger, jobId, 0),
      await start(ledger, jobId, 1, 'durable'),
      await start(ledger, jobId, 2, 'durable'),
    ]
    await fillRedis(ledger.redis)
    const quiet = { onError: () => {}, onLapse: () => {}, places: 3 }
    const lease = await startHeartbeat(ledger, 'w1', { ...quiet, claims: () => [kept, durable, fallen] })
    expect(await ledger.redis.pttl(ledger.keys.worker('w1'))).toBeGreaterThan(10_000)
    expect(await handOver(ledger, durable)).toBe(true)
    expect(await fallBackToAttached(ledger, fallen, 'no setsid')).toBe(true)
    await lease.stop()
    await sweep(ledger, { ...AT_ONCE, ticketGraceMs: 60_000 })
    expect((await findJob(ledger, jobId))?.counts).toMatchObject({ lost: 2, running: 1, queued: 1 })
  })

  test('takes the end of a run whose output it has no room for, and says what is missing', async () => {
    const ledger = await openOwn()
    const jobId = await submitTo(ledger, 1)
    const claimed = await start(ledger, jobId, 0)
    const head = (offset: number, text: string) =>
      appendOutput(ledger, claimed, { stream: 'stdout', side: 'head', offset, bytes: Buffer.from(text) })
    expect(await head(0, 'kept')).toBe('ok')
    await fillRedis(ledger.redis)
    expect(await head(4, 'not kept')).toBe('full')
    const sha256 = 'e'.repeat(64)
    const stream = { bytes: 20, omittedBytes: 0, tail: Buffer.from('tail'), sha256 }
    const nothing = { bytes: 0, omittedBytes: 0, tail: Buffer.alloc(0), sha256: '' }
    const output = { stdout: stream, stderr: nothing, complete: true, digest: 'd' }
    expect(await finishRun(ledger, claimed, ended({ output }))).toBe('finished')
    const stdout = { bytes: 20, omitted_bytes: 16, sha256 }
    expect(await firstRun(ledger, jobId)).toMatchObject({ state: 'succeeded', stdout, output_complete: false })
    expect((await firstRun(ledger, jobId)).notice).toContain('no room')
  })

  test('keeps the secret of durable runs that the first of them needs', async () => {
    const ledger = await openOwn()
    await fillRedis(ledger.redis)
    const secret = await durableSecret(ledger)
    expect(await durableSecret(ledger)).toBe(secret)
    expect(await ledger.redis.get(ledger.keys.durableSecret)).toBe(secret)
  })

  test('keeps no process from sweeping where an older Muster has left its own sweep behind', async () => {
    const ledger = await openOwn()
    const old = new Queue('sweep', { connection: ledger.redis, prefix: ledger.keys.base })
    await old.upsertJobScheduler('sweep', { every: 3_600_000 })
    await fillRedis(ledger.redis)
    const told: Error[] = []
    const clockwork = await startClockwork(ledger, (error) => told.push(error))
    onTestFinished(() => clockwork.stop())
    await expect.poll(() => ledger.redis.exists(ledger.keys.sweepTurn)).toBe(1)
    expect(told.map(({ message }) => message)).toEqual([expect.stringMatching(/^OOM/)])
  })

  test('revokes a key, and makes none', async () => {
    const ledger = await withMacs(await openOwn('server'))
    await ensureFirstKey(ledger, { dataDir: await temporaryDataDir() })
    const asked = { owner: 'ops', scopes: [...ALL_SCOPES] }
    const [one, two] = [await makeKey(ledger, FIRST, asked), await makeKey(ledger, FIRST, asked)]
    await fillRedis(ledger.redis)
    expect((await revokeKey(ledger, FIRST, one.record.key_id)).key.revoked_at).not.toBeNull()
    expect(await openKeyStore(ledger).verifyKey(one.key)).toMatchObject({ kind: 'revoked' })
    expect(await openKeyStore(ledger).verifyKey(two.key)).toMatchObject({ kind: 'valid' })
    await expect(makeKey(ledger, FIRST, asked)).rejects.toMatchObject({ code: 'ledger_full' })
  })
})
