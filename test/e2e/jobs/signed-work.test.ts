/**
 * Signed work, end to end: whoever can write to Redis runs nothing of their own, whatever they change there. A command
 * that runs would leave a line in a file.
 */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Submit } from '@muster/contract'
import { extendJob, readSpec, resumeJob, setConcurrency, submitJob, workDigest } from '@muster/ledger'
import { freePort } from '@muster/runtime'
import { makeKeys, openSealer, openWorkSigner, SERVER_KEYS } from '@muster/trust'
import { describe, expect, test } from 'vitest'
import { temporaryDataDir } from '../../support/server/server.ts'
import { endOf, ledgerOf, pushAgain, refusedRun, submitMarked } from '../../support/stack/redis-writer.ts'
import { redisOf, runOf, startForSecrets } from '../../support/stack/secret-stack.ts'
import { FAKETIME, wrongBy } from '../../support/stack/skewed-clock.ts'
import { type Stack, UNSIGNED } from '../../support/stack/stack.ts'

const SCRIPT = (path: string) => `#!/bin/sh\necho ran >> ${path}\n${'#'.repeat(20_000)}\n`

/** What somebody does to a job before a worker sees it, and which words then say why it does not run. */
type Change = {
  readonly what: string
  readonly request?: (path: string) => Record<string, unknown>
  readonly act: (given: { stack: Stack; jobId: string; path: string }) => Promise<unknown>
  readonly detail: unknown
}

const onJob = (field: string, value: string | number): Change['act'] => {
  return async ({ stack, jobId }) => {
    const { redis, key } = redisOf(stack)
    await redis.hset(key(`job:${jobId}`), field, value)
  }
}
const changed = (what: string) => `the job is not as it was signed; changed in Redis: ${what}`

const CHANGES: Change[] = [
  {
    what: 'its command',
    act: async ({ stack, jobId, path }) => {
      const { redis, key } = redisOf(stack)
      const spec = JSON.parse((await redis.hget(key(`job:${jobId}`), 'spec')) ?? '')
      const own = { ...spec, command: `echo own >> ${path}` }
      await redis.hset(key(`job:${jobId}`), 'spec', JSON.stringify(own))
    },
    detail: changed('the command or an option of it'),
  },
  {
    what: 'its script',
    request: (path) => ({ command: undefined, script: SCRIPT(path) }),
    act: async ({ stack, jobId }) => {
      const { redis, key } = redisOf(stack)
      await redis.setrange(key(`job:${jobId}:script`), 200, 'rm -rf here')
    },
    detail: changed('its script'),
  },
  {
    what: 'a stdin that it did not have',
    act: async ({ stack, jobId }) => {
      const { redis, key } = redisOf(stack)
      await redis.set(key(`job:${jobId}:stdin`), 'words')
      await redis.hset(key(`job:${jobId}`), 'stdin_bytes', 5)
    },
    detail: changed('its stdin'),
  },
  {
    what: 'the hosts of its key',
    act: onJob('key_hosts', '["h1"]'),
    detail: changed('the hosts that its API key may touch'),
  },
  {
    what: 'its key, of which it is rid',
    act: async ({ stack, jobId }) => {
      const { redis, key } = redisOf(stack)
      await redis.hdel(key(`job:${jobId}`), 'key_id')
    },
    detail: expect.stringContaining('key_id (none, and "'),
  },
  { what: 'its owner', act: onJob('owner', 'other'), detail: expect.stringContaining('owner ("other", and "') },
  { what: 'its retries', act: onJob('retries', 9), detail: changed('retries ("9", and "2" was signed)') },
  {
    what: 'what is retried',
    act: onJob('retry_on', ',lost,'),
    detail: changed('retry_on (",lost,", and ",," was signed)'),
  },
  { what: 'its error budget', act: onJob('max_errors', 99), detail: changed('max_errors ("99", and "1" was signed)') },
  {
    what: 'its batches',
    act: onJob('batches', '1'),
    detail: changed('batches ("1", and none was signed)'),
  },
  { what: 'its concurrency', act: onJob('concurrency', 500), detail: 'its concurrency is 500, and 50 was signed' },
  {
    what: 'its exec timeout',
    act: onJob('exec_timeout_ms', 999_000),
    detail: 'its exec timeout is 999000 ms, and 300000 ms were signed',
  },
  {
    what: 'the host of its run',
    act: async ({ stack, jobId }) => {
      const { redis, key } = redisOf(stack)
      await redis.hset(key(`run:${jobId}:0`), 'host', 'h2')
    },
    detail: 'the record puts the run on "h2", but it was signed for h1',
  },
  {
    what: 'its frozen set',
    act: async ({ stack, jobId }) => {
      const { redis, key } = redisOf(stack)
      await redis.lset(key(`job:${jobId}:hosts`), 0, 'h2')
      await redis.hset(key(`run:${jobId}:0`), 'host', 'h2')
    },
    detail: 'the hosts of the job were changed in Redis since they were signed',
  },
  {
    what: 'the number of its attempt',
    act: async ({ stack, jobId }) => {
      const ledger = await ledgerOf(stack)
      await ledger.tickets.drain()
      await pushAgain(ledger, jobId, 0, 'h1', 6)
    },
    detail: 'it is attempt 6, and at most 5 were signed',
  },
  {
    what: 'its signature, which is gone',
    act: async ({ stack, jobId }) => {
      const { redis, key } = redisOf(stack)
      await redis.del(key(`job:${jobId}:signed`))
    },
    detail: expect.stringContaining('the job is not signed'),
  },
  {
    what: 'its signature, by an order',
    act: async ({ stack, jobId }) => {
      const { redis, key } = redisOf(stack)
      await stack.ask('POST', `/v1/jobs/${jobId}/extend`, { exec_timeout_s: 400 })
      const order = await redis.hget(key(`job:${jobId}:signed`), 'exec_timeout')
      await redis.hset(key(`job:${jobId}:signed`), 'job', order ?? '')
    },
    detail: expect.stringContaining('it is a signature over something else'),
  },
  {
    what: 'its signature, by one of another key',
    act: async ({ stack, jobId }) => {
      const { redis, key } = redisOf(stack)
      const { privateFile } = await makeKeys(SERVER_KEYS, await temporaryDataDir())
      const signer = await openWorkSigner(privateFile, () => {})
      const [, payload = ''] = ((await redis.hget(key(`job:${jobId}:signed`), 'job')) ?? '').split('.')
      const terms: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
      await redis.hset(key(`job:${jobId}:signed`), 'job', await signer.sign('job', Object(terms)))
    },
    detail: expect.stringMatching(/^it is signed with the key \S+, and this worker knows \S+$/),
  },
  {
    what: 'its terms',
    act: async ({ stack, jobId }) => {
      const { redis, key } = redisOf(stack)
      const [head, payload = '', signature] = ((await redis.hget(key(`job:${jobId}:signed`), 'job')) ?? '').split('.')
      const terms = JSON.parse(Buffer.from(payload, 'base64url').toString())
      const more = Buffer.from(JSON.stringify({ ...terms, not_after: 9e12 })).toString('base64url')
      await redis.hset(key(`job:${jobId}:signed`), 'job', [head, more, signature].join('.'))
    },
    detail: 'the signature does not match',
  },
]

describe('a job that was changed in Redis does not run', () => {
  test('whatever was changed: each has its own words, and the job that was not changed runs', async () => {
    const log = join(await temporaryDataDir(), 'log')
    const stack = await startForSecrets({ workers: 0, env: { MUSTER_LOG_FILE: log } })
    const untouched = await submitMarked(stack, { targets: 'h3' })
    const jobs = []
    for (const { what, request, act, detail } of CHANGES) {
      const { path } = untouched
      const marked = await submitMarked(stack, { host_limit: 50, retries: 2, ...request?.(path) })
      await act({ stack, jobId: marked.jobId, path: marked.path })
      jobs.push({ ...marked, what, detail })
    }
    await stack.startWorker()
    for (const { jobId, what, detail, ranCount } of jobs) {
      const { total, problems } = await stack.ended(jobId)
      expect
        .soft([what, total, problems])
        .toEqual([what, 1, [expect.objectContaining({ state: 'skipped', reason: 'signature_invalid', detail })]])
      expect.soft([what, await ranCount()]).toEqual([what, 0])
    }
    expect(await stack.ended(untouched.jobId)).toMatchObject({ state: 'succeeded' })
    expect(await untouched.ranCount()).toBe(1)
    expect(await readFile(log, 'utf8')).toContain(`"refused":${CHANGES.length}`)
  }, 120_000)

  test('a record that was copied under another job ID', async () => {
    const stack = await startForSecrets({ workers: 0 })
    const { redis, key } = redisOf(stack)
    const { jobId, ranCount } = await submitMarked(stack)
    const copy = `job_${'a'.repeat(26)}`
    for (const part of ['', ':hosts', ':signed'])
      await redis.copy(key(`job:${jobId}${part}`), key(`job:${copy}${part}`))
    await stack.startWorker()
    expect(await stack.ended(jobId)).toMatchObject({ state: 'succeeded' })
    await pushAgain(await ledgerOf(stack), copy, 0, 'h1')
    const { run } = await endOf(stack, copy)
    expect(run).toMatchObject(refusedRun(`what is signed is job ${jobId}`))
    expect(await ranCount()).toBe(1)
  }, 60_000)

  test('a job that nobody submitted, and one of a server that does not sign', async () => {
    const env = { MUSTER_PORT: String(await freePort()) }
    const stack = await startForSecrets({ workers: 0, env })
    const ledger = await ledgerOf(stack)
    const { jobId: own, path, ranCount } = await submitMarked(stack, { targets: 'h3' })
    const request = Submit.parse({ targets: 'h1', command: `echo own >> ${path}` })
    const { jobId } = await submitJob(ledger, { request, hosts: ['h1'], owner: 'me' })
    const words = 'its server has no MUSTER_SERVER_KEY_FILE, or had none when it was submitted; submit it again'
    expect((await endOf(stack, jobId)).run).toMatchObject(refusedRun(`the job is not signed: ${words}`))
    await stack.restartServer({ MUSTER_SERVER_KEY_FILE: '' })
    expect(await stack.ended(own)).toMatchObject({ state: 'succeeded' })
    const unsigned = await submitMarked(stack)
    expect((await endOf(stack, unsigned.jobId)).run).toMatchObject(refusedRun(`the job is not signed: ${words}`))
    expect([await ranCount(), await unsigned.ranCount()]).toEqual([1, 0])
  }, 60_000)

  test('a durable command that goes on at its host is not followed by what the job says now: it is lost', async () => {
    const stack = await startForSecrets()
    const { redis, key } = redisOf(stack)
    const { jobId, ranCount } = await submitMarked(stack, { durable: true }, '; sleep 20')
    await expect.poll(ranCount, { timeout: 20_000 }).toBe(1)
    for (const worker of stack.workers) process.kill(worker.pid, 'SIGKILL')
    const spec = JSON.parse((await redis.hget(key(`job:${jobId}`), 'spec')) ?? '')
    await redis.hset(key(`job:${jobId}`), 'spec', JSON.stringify({ ...spec, health_check: { command: 'id' } }))
    await stack.startWorker()
    await stack.ended(jobId)
    const lost = { state: 'lost', remote: 'unknown', reason: 'signature_invalid' }
    expect(await runOf(stack, jobId)).toMatchObject({ ...lost, detail: changed('the command or an option of it') })
    expect(await ranCount()).toBe(1)
  }, 60_000)

  test('secrets that somebody else has sealed for the job, and those of another job', async () => {
    const stack = await startForSecrets({ workers: 0 })
    const { redis, key } = redisOf(stack)
    const secret_env = { TOKEN: 'a-token-of-the-job' }
    const keeper = await submitMarked(stack, { targets: 'h2', secret_env, keep_secrets: true })
    const own = await submitMarked(stack, { secret_env })
    const moved = await submitMarked(stack, { secret_env })
    const sealer = await openSealer(join(stack.dataDir, 'worker-keys.pub.json'))
    const ledger = await ledgerOf(stack)
    const spec = (await readSpec(ledger, own.jobId))?.spec
    if (spec === undefined) throw new Error('no spec')
    const forged = await sealer.seal(
      { secret_env: { TOKEN: 'a-token-of-mine' } },
      { jobId: own.jobId, hosts: ['h1'], work: workDigest(spec) },
    )
    await redis.set(key(`job:${own.jobId}:secrets`), forged)
    await redis.hset(key(`job:${own.jobId}`), 'secrets_bytes', forged.length)
    await redis.hset(key(`job:${moved.jobId}`), 'secrets_of', keeper.jobId)
    const unreadable = { state: 'skipped', reason: 'secrets_unreadable', remote: 'not_started' }
    const { run } = await endOf(stack, own.jobId)
    expect(run).toMatchObject({ ...unreadable, detail: 'the sealed secrets are not those that were signed' })
    expect((await endOf(stack, moved.jobId)).run).toMatchObject(
      refusedRun(changed(`secrets_of ("${keeper.jobId}", and none was signed)`)),
    )
    expect(await stack.ended(keeper.jobId)).toMatchObject({ state: 'succeeded' })
    expect([await own.ranCount(), await moved.ranCount(), await keeper.ranCount()]).toEqual([0, 0, 1])
    const { body } = await stack.ask('POST', `/v1/jobs/${keeper.jobId}/rerun`, { states: ['succeeded'] })
    const again = Object(body).job_id
    expect(await stack.ended(again)).toMatchObject({ state: 'succeeded' })
    await redis.set(key(`job:${keeper.jobId}:secrets`), forged)
    await redis.hset(key(`job:${keeper.jobId}`), 'secrets_bytes', forged.length)
    const third = Object((await stack.ask('POST', `/v1/jobs/${keeper.jobId}/rerun`, { states: ['succeeded'] })).body)
    await stack.ended(third.job_id)
    expect(await runOf(stack, third.job_id, 'h2')).toMatchObject({
      ...unreadable,
      detail: 'the sealed secrets are not those that were signed',
    })
  }, 90_000)
})

describe('what was signed once does not run twice', () => {
  test('a run of an ended job that is put back is refused by the worker that has run it', async () => {
    const stack = await startForSecrets()
    const ledger = await ledgerOf(stack)
    const { jobId, ranCount } = await submitMarked(stack)
    expect(await stack.ended(jobId)).toMatchObject({ state: 'succeeded' })
    const { redis, keys } = ledger
    // Its ticket alone asks for nothing: the run has ended.
    await issueAgain(stack, jobId)
    await redis.hset(keys.job(jobId), 'state', 'running', 'done', 0, 'n:succeeded', 0, 'n:queued', 1)
    await redis.hdel(keys.job(jobId), 'ended')
    await pushAgain(ledger, jobId, 0, 'h1')
    const { run } = await endOf(stack, jobId)
    const words = 'this worker has sent the command to the host before, as often as was signed'
    // It has run, so nobody may say that it has not.
    const lost = { state: 'lost', reason: 'signature_invalid', remote: 'unknown', safe_to_retry: false }
    expect(run).toMatchObject(Object.assign(lost, { detail: words, vouched_by: 'ledger' }))
    expect(await ranCount()).toBe(1)
  }, 60_000)

  test('a command that may be retried runs again, and no more often than was signed', async () => {
    const stack = await startForSecrets()
    const { jobId, ranCount, path } = await submitMarked(stack, {
      retries: 1,
      retry_on: [3],
      retry_backoff_s: 0.1,
    })
    expect(await stack.ended(jobId)).toMatchObject({ state: 'succeeded' })
    const again = await submitMarked(stack, {
      command: `echo ran >> ${path}; exit 3`,
      retries: 1,
      retry_on: [3],
      retry_backoff_s: 0.1,
    })
    expect(await stack.ended(again.jobId)).toMatchObject({ state: 'failed' })
    expect(await runOf(stack, again.jobId)).toMatchObject({ reason: 'exit_nonzero', attempt: 2 })
    expect(await ranCount()).toBe(3)
  }, 60_000)
})

describe('orders that widen a job are signed', () => {
  test('behind a manual gate nothing runs before a signed resume, and then the next batch alone', async () => {
    const stack = await startForSecrets()
    const ledger = await ledgerOf(stack)
    const { jobId, ranCount } = await submitMarked(stack, {
      targets: 'h[1-3]',
      batches: [1, 1, 1],
      gate: 'manual',
      max_errors: 9,
    })
    const paused = async () => (await stack.ask('GET', `/v1/jobs/${jobId}`)).body
    await expect.poll(paused, { timeout: 20_000 }).toMatchObject({ state: 'paused' })
    await stack.ask('POST', `/v1/jobs/${jobId}/resume`, {})
    await expect.poll(paused, { timeout: 20_000 }).toMatchObject({ state: 'paused', batch: { number: 2 } })
    expect(await ranCount()).toBe(2)
    expect(await resumeJob(ledger, jobId)).toBe('resumed')
    const { run } = await endOf(stack, jobId, 'h3')
    expect(run).toMatchObject(refusedRun('it is of batch 3, and no signed order opens the gate after 2'))
    expect(await ranCount()).toBe(2)
  }, 60_000)

  test('an exec timeout that nobody has signed kills at the signed one, and a signed one holds', async () => {
    const stack = await startForSecrets()
    const ledger = await ledgerOf(stack)
    const submit = () => submitMarked(stack, { command: 'sleep 9', exec_timeout_s: 4, host_limit: 2 })
    const [forged, signed] = [await submit(), await submit()]
    for (const { jobId } of [forged, signed]) {
      await expect.poll(async () => (await runOf(stack, jobId)).state, { timeout: 10_000 }).toBe('running')
    }
    expect(await extendJob(ledger, forged.jobId, 60_000)).toBe('raised')
    await stack.ask('POST', `/v1/jobs/${signed.jobId}/extend`, { exec_timeout_s: 60 })
    await stack.ended(forged.jobId)
    expect(await runOf(stack, forged.jobId)).toMatchObject({ state: 'timed_out', reason: 'exec_timeout' })
    expect(await stack.ended(signed.jobId)).toMatchObject({ state: 'succeeded' })
  }, 60_000)

  test('a concurrency that was signed is believed, and one that was not is not', async () => {
    const stack = await startForSecrets({ workers: 0 })
    const ledger = await ledgerOf(stack)
    const [forged, signed] = [await submitMarked(stack), await submitMarked(stack)]
    expect(await setConcurrency(ledger, forged.jobId, 70)).toBe('changed')
    await stack.ask('POST', `/v1/jobs/${signed.jobId}/concurrency`, { concurrency: 70 })
    expect((await endOf(stack, forged.jobId)).run).toMatchObject(refusedRun('its concurrency is 70, and 50 was signed'))
    expect(await stack.ended(signed.jobId)).toMatchObject({ state: 'succeeded' })
    expect([await forged.ranCount(), await signed.ranCount()]).toEqual([0, 1])
  }, 60_000)
})

describe.skipIf(FAKETIME === undefined)('time is that of the worker', () => {
  test('a worker that is an hour slow refuses what is signed ahead, and says that the clocks differ', async () => {
    const stack = await startForSecrets({ workers: 0 })
    const { jobId, ranCount } = await submitMarked(stack)
    await stack.startWorker(wrongBy(-3_600))
    const { run } = await endOf(stack, jobId)
    const words =
      /^the job was signed 3[56]\d\d s ahead of the clock of this worker: the clocks of server and worker differ/
    expect(run).toMatchObject(refusedRun(expect.stringMatching(words)))
    expect(await ranCount()).toBe(0)
  }, 60_000)

  test('after the last moment that was signed nothing starts, whatever Redis says of its deadline', async () => {
    const stack = await startForSecrets({ workers: 0 })
    const { redis, key } = redisOf(stack)
    const { jobId, ranCount } = await submitMarked(stack, { start_deadline_s: 60 })
    await redis.hset(key(`job:${jobId}`), 'start_deadline', Date.now() + 9e7)
    await stack.startWorker(wrongBy(3_600))
    const { run } = await endOf(stack, jobId)
    expect(run).toMatchObject(refusedRun(expect.stringMatching(/^it was signed for starts until \S+, and the clock/)))
    expect(await ranCount()).toBe(0)
  }, 60_000)
})

test('a worker without the keys of servers runs what Redis says, and both say so at their start', async () => {
  const log = join(await temporaryDataDir(), 'log')
  const stack = await startForSecrets({ env: { ...UNSIGNED, MUSTER_LOG_FILE: log } })
  const { jobId, ranCount } = await submitMarked(stack)
  expect(await stack.ended(jobId)).toMatchObject({ state: 'succeeded' })
  expect(await ranCount()).toBe(1)
  const told = await readFile(log, 'utf8')
  expect(told).toContain('MUSTER_SERVER_PUBLIC_KEY_FILE is not set')
  expect(told).toContain('MUSTER_SERVER_KEY_FILE is not set')
}, 60_000)

/** The ticket of a run once more, as it was. */
async function issueAgain(stack: Stack, jobId: string): Promise<void> {
  const ledger = await ledgerOf(stack)
  const ticket = { job_id: jobId, index: 0, host: 'h1', attempt: 1, reissue: 0 }
  await ledger.tickets.add('again', ticket, { jobId: `again-${randomBytes(4).toString('hex')}` })
}
