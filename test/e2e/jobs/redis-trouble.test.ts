/**
 * Redis is killed, frozen, away for longer than a lease, or its connections are cut while commands run. Whatever
 * happens, each command runs once, every job ends, and what is said of it is what happened.
 */
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isTerminalJob, OPERATIONS } from '@muster/contract'
import { freePort, startProcess } from '@muster/runtime'
import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { redisArguments } from '../../support/runtime/chaos-redis.ts'
import { FaultProxy } from '../../support/runtime/fault-proxy.ts'
import { ownRedis } from '../../support/runtime/own-redis.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'
import { type Witness, witnessFile } from '../../support/stack/witness.ts'

/** Longer than a lease and two sweeps. */
const LONG_MS = 25_000

/** Waits for the end of a job; Redis may be away meanwhile, and then the server says so. */
async function endedAfterTrouble(stack: Stack, jobId: string) {
  for (;;) {
    const { status, body } = await stack.ask('GET', `/v1/jobs/${jobId}?wait_s=5`)
    const job = OPERATIONS.get_job.output.safeParse(body)
    if (job.success && isTerminalJob(job.data.state)) return job.data
    if (!job.success) expect([503, 404]).toContain(status)
    if (!job.success) await sleep(200)
  }
}

const beganAndEnded = (witness: Witness, seconds: number) =>
  `echo began-$SSH_CONNECTION >> ${witness.path}; sleep ${seconds}; echo ended-$SSH_CONNECTION >> ${witness.path}`

async function began(witness: Witness, count: number): Promise<void> {
  const lines = async () => (await witness.lines()).filter((line) => line.startsWith('began')).length
  await expect.poll(lines, { timeout: 20_000 }).toBe(count)
}

/** Each command wrote its first line once, and its last one. */
async function expectOnceEach(witness: Witness, count: number): Promise<void> {
  const lines = await witness.lines()
  expect(lines.filter((line) => line.startsWith('began'))).toHaveLength(count)
  expect(new Set(lines).size).toBe(lines.length)
}

describe('Redis', () => {
  test('killed and started again: nothing is lost, nothing runs twice', async () => {
    const redis = await ownRedis()
    const stack = await startStack({ ...fleetFiles(8), redisUrl: redis.url, workers: 2 })
    const witness = await witnessFile()
    const command = beganAndEnded(witness, 2)
    const { job_id } = await stack.submit({ targets: '@web', command, concurrency: 4 })
    await began(witness, 4)
    await redis.process.restart('SIGKILL', 500, () => redis.tear(100))
    expect(await endedAfterTrouble(stack, job_id)).toMatchObject({ state: 'succeeded', counts: { succeeded: 8 } })
    await expectOnceEach(witness, 8)
  }, 60_000)

  test('away for longer than a lease: commands end meanwhile, and their true ends are shown afterwards', async () => {
    const redis = await ownRedis()
    const stack = await startStack({ ...fleetFiles(3), redisUrl: redis.url, workers: 2 })
    const witness = await witnessFile()
    const command = `${beganAndEnded(witness, 3)}; echo printed while Redis was away; exit 7`
    const { job_id } = await stack.submit({ targets: '@web', command })
    await began(witness, 3)
    const away = redis.process.restart('SIGKILL', LONG_MS)
    await expect.poll(async () => (await stack.ask('GET', `/v1/jobs/${job_id}`)).status).toBe(503)
    expect((await stack.ask('POST', '/v1/jobs', { targets: '@web', command: 'true' })).status).toBe(503)
    await away
    const job = await endedAfterTrouble(stack, job_id)
    expect(job).toMatchObject({ state: 'failed', counts: { failed: 3 } })
    expect(job.problems).toMatchObject([{ reason: 'exit_nonzero', exit_code: 7, hosts: 'web[01-03]' }])
    const { body } = await stack.ask('GET', `/v1/jobs/${job_id}/output`)
    const printed = { stdout: 'printed while Redis was away\n', count: 3 }
    expect(OPERATIONS.gather_output.output.parse(body).groups).toMatchObject([printed])
    await expectOnceEach(witness, 3)
  }, 90_000)

  test('frozen for longer than a lease, and then going on: the workers are still believed', async () => {
    const redis = await ownRedis()
    const stack = await startStack({ ...fleetFiles(2), redisUrl: redis.url, workers: 2 })
    const witness = await witnessFile()
    const { job_id } = await stack.submit({ targets: '@web', command: beganAndEnded(witness, 2) })
    await began(witness, 2)
    await redis.process.freeze(LONG_MS)
    expect(await endedAfterTrouble(stack, job_id)).toMatchObject({ state: 'succeeded' })
    await expectOnceEach(witness, 2)
  }, 90_000)

  test('whose disk is full: it ends rather than forget, and goes on when it has room again', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'muster-full-disk-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    const port = await freePort()
    // No file may become larger than this many blocks of 512 bytes: writing more fails, as on a full disk.
    const start = async (blocks: string) => {
      const limited = `trap '' XFSZ; ulimit -f ${blocks}; exec redis-server "$@"`
      const args = ['-c', limited, 'sh', ...redisArguments({ dir, port, durability: 'always' })]
      const ready = /Ready to accept connections/
      const redis = await startProcess({ name: 'redis', command: 'sh', args, env: process.env, ready })
      onTestFinished(() => redis.stop())
      return redis
    }
    const full = await start('4096')
    const stack = await startStack({ ...fleetFiles(6), redisUrl: `redis://127.0.0.1:${port}` })
    const witness = await witnessFile()
    const command = `echo $SSH_CONNECTION >> ${witness.path}; head -c 700000 /dev/zero | tr '\\0' x; sleep 1`
    const { job_id } = await stack.submit({ targets: '@web', command })
    expect(await full.exited).not.toMatchObject({ code: 0 })
    expect((await stack.ask('GET', `/v1/jobs/${job_id}`)).status).toBe(503)
    await start('unlimited')
    expect(await endedAfterTrouble(stack, job_id)).toMatchObject({ state: 'succeeded' })
    const { body } = await stack.ask('GET', `/v1/jobs/${job_id}/output`)
    const { groups } = OPERATIONS.gather_output.output.parse(body)
    expect(groups).toMatchObject([{ count: 6, stdout_bytes: 700_000 }])
    expect(await witness.lines()).toHaveLength(6)
  }, 60_000)

  test('output that Redis forgot while its command ran is told as missing; nothing is made up', async () => {
    const redis = await ownRedis()
    const stack = await startStack({ ...fleetFiles(1), redisUrl: redis.url })
    const client = new Redis(redis.url)
    onTestFinished(() => client.disconnect())
    const witness = await witnessFile()
    const command = `echo one; while [ ! -s ${witness.path} ]; do sleep 0.1; done; echo two; sleep 1; echo three`
    const { job_id } = await stack.submit({ targets: '@web', command })
    const head = `{${stack.env.MUSTER_PREFIX}}:out:${job_id}:0:stdout`
    await expect.poll(() => client.get(head), { timeout: 20_000 }).toBe('one\n')
    await client.del(head)
    await appendFile(witness.path, 'forgotten\n')
    expect(await endedAfterTrouble(stack, job_id)).toMatchObject({ state: 'succeeded' })
    const { body } = await stack.ask('GET', `/v1/jobs/${job_id}/runs/web01`)
    const stdout = { bytes: 14, omitted_bytes: 14 }
    expect(OPERATIONS.get_run.output.parse(body)).toMatchObject({ stdout, output_complete: false })
    expect(await client.get(head)).toBeNull()
  }, 60_000)

  test.each([false, true])(
    'a command that Redis forgot was sent (durable: %s) goes on, and runs once',
    async (durable) => {
      const redis = await ownRedis()
      const stack = await startStack({ ...fleetFiles(1), redisUrl: redis.url })
      const client = new Redis(redis.url)
      onTestFinished(() => client.disconnect())
      const [witness, gate] = [await witnessFile(), await witnessFile()]
      const wait = `while [ ! -s ${gate.path} ]; do sleep 0.1; done`
      const command = `echo web01 >>${witness.path}; ${wait}; echo two; sleep 1; echo three`
      const { job_id } = await stack.submit({ targets: '@web', command, durable })
      await expect.poll(() => witness.lines(), { timeout: 20_000 }).toHaveLength(1)
      const base = `{${stack.env.MUSTER_PREFIX}}`
      await client
        .multi()
        .hset(`${base}:run:${job_id}:0`, 'state', 'connecting', 'remote', 'not_started')
        .hdel(`${base}:run:${job_id}:0`, 'started', 'mode')
        .hincrby(`${base}:job:${job_id}`, 'n:running', -1)
        .hincrby(`${base}:job:${job_id}`, 'n:connecting', 1)
        .exec()
      await appendFile(gate.path, 'go on\n')
      const job = await endedAfterTrouble(stack, job_id)
      expect(job).toMatchObject({ state: 'succeeded', counts: { succeeded: 1, connecting: 0, running: 0 } })
      const { body } = await stack.ask('GET', `/v1/jobs/${job_id}/runs/web01`)
      const told = { attempt: 1, mode: durable ? 'durable' : 'attached', stdout: { bytes: 10, omitted_bytes: 0 } }
      expect(OPERATIONS.get_run.output.parse(body)).toMatchObject(told)
      expect(await witness.lines()).toHaveLength(1)
    },
    90_000,
  )

  test('a run whose script Redis forgot before it started ends at once and says what is missing', async () => {
    const redis = await ownRedis()
    const stack = await startStack({ ...fleetFiles(1), redisUrl: redis.url, workers: 0 })
    const client = new Redis(redis.url)
    onTestFinished(() => client.disconnect())
    const { job_id } = await stack.submit({ targets: '@web', script: `true\n#${'x'.repeat(20_000)}` })
    await client.del(`{${stack.env.MUSTER_PREFIX}}:job:${job_id}:script`)
    await stack.startWorker()
    await endedAfterTrouble(stack, job_id)
    const { body } = await stack.ask('GET', `/v1/jobs/${job_id}/runs/web01`)
    const told = { state: 'skipped', remote: 'not_started', attempt: 1 }
    expect(OPERATIONS.get_run.output.parse(body)).toMatchObject(told)
    expect(JSON.stringify(body)).toContain('Redis has 0 of 20006 bytes of the script')
  }, 90_000)

  test('whose connections are cut again and again: each command runs once, and every end arrives', async () => {
    const redis = await ownRedis()
    const link = await FaultProxy.start(() => redis.port)
    onTestFinished(() => link.close())
    const redisUrl = `redis://127.0.0.1:${link.port}`
    const stack = await startStack({ ...fleetFiles(30), redisUrl, workers: 2 })
    const witness = await witnessFile()
    const command = beganAndEnded(witness, 0.2)
    const { job_id } = await stack.submit({ targets: '@web', command, concurrency: 5 })
    const cutting = setInterval(() => link.cut(), 700)
    onTestFinished(() => clearInterval(cutting))
    await sleep(5_000)
    clearInterval(cutting)
    expect(await endedAfterTrouble(stack, job_id)).toMatchObject({ state: 'succeeded', counts: { succeeded: 30 } })
    await expectOnceEach(witness, 30)
  }, 90_000)
})
