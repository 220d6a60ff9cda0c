/**
 * Redis is full of other data while commands run: they can be stopped, they end, and their workers are believed.
 * Nothing new is taken, and the log is neither flooded nor told what the commands print.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isTerminalJob, OPERATIONS, Problem } from '@muster/contract'
import { freePort } from '@muster/runtime'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { fillRedis, giveRoom } from '../../support/ledger/full-redis.ts'
import { ownRedis } from '../../support/runtime/own-redis.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

/** Longer than a lease and two sweeps. */
const LONG_MS = 25_000
/** Of a server and a worker, while Redis is full for less than a minute. */
const MOST_LINES = 100
/** What commands print. */
const PRINTED = 'the-output-of-a-command'

/** A stack whose processes write one log, and its Redis. */
async function stackOnOwnRedis(hosts: number) {
  const directory = await mkdtemp(join(tmpdir(), 'muster-full-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const log = join(directory, 'muster.log')
  const { url } = await ownRedis()
  const env = { MUSTER_LOG_FILE: log, MUSTER_PORT: String(await freePort()) }
  const stack = await startStack({ ...fleetFiles(hosts), redisUrl: url, env })
  const redis = new Redis(url)
  onTestFinished(() => redis.disconnect())
  const logLines = async () => (await readFile(log, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
  return { stack, redis, logLines }
}

const codeOf = ({ body }: { body: unknown }) => Problem.parse(body).code

async function callTool({ url, apiKey }: Stack, name: string, args: Record<string, unknown>): Promise<string> {
  const headers = {
    authorization: `Bearer ${apiKey}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  }
  const params = { name, arguments: args }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
  return await (await fetch(`${url}/mcp`, { method: 'POST', headers, body })).text()
}

const findJob = async (stack: Stack, jobId: string) =>
  OPERATIONS.get_job.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}`)).body)

test('what runs is cancelled and ends, its worker is believed, and all goes on once there is room', async () => {
  const { stack, redis, logLines } = await stackOnOwnRedis(8)
  const witness = await witnessFile()
  const write = (word: string) => `echo ${word} >> ${witness.path}`
  const stoppable = `trap '${write('stopped')}; exit 1' TERM; ${write('began')}; sleep 300 & wait`
  const long = await stack.submit({ targets: 'web[01-05]', command: stoppable })
  const kept = await stack.submit({ targets: 'web06', command: `${write('began')}; sleep 60; echo ${PRINTED}` })
  // The second host has its turn when the first one has ended.
  const command = `${write('began')}; sleep 3`
  const waiting = await stack.submit({ targets: 'web07,web08', command, concurrency: 1 })
  const made = await stack.ask('POST', '/v1/keys', { owner: 'agent', scopes: ['jobs:read'] })
  const { key, record } = OPERATIONS.create_key.output.parse(made.body)
  const seen = async (word: string) => (await witness.lines()).filter((line) => line === word).length
  await expect.poll(() => seen('began'), { timeout: 20_000 }).toBe(7)

  await fillRedis(redis)
  const fullSinceMs = performance.now()
  const submit = await stack.ask('POST', '/v1/jobs', { targets: '@web', command: 'true' })
  expect([submit.status, codeOf(submit)]).toEqual([507, 'ledger_full'])
  expect(Problem.parse(submit.body).next).toContain('maxmemory')
  expect(await callTool(stack, 'run_command', { command: 'true', targets: '@web' })).toContain('ledger_full')

  const tryKey = async () =>
    (await fetch(`${stack.url}/v1/jobs`, { headers: { authorization: `Bearer ${key}` } })).status
  expect(await tryKey()).toBe(200)
  expect((await stack.ask('POST', `/v1/keys/${record.key_id}/revoke`)).status).toBe(200)
  await expect.poll(tryKey, { timeout: 5_000 }).toBe(401)

  expect((await stack.ask('POST', `/v1/jobs/${long.job_id}/cancel`, {})).status).toBeLessThan(300)
  expect(await stack.ended(long.job_id)).toMatchObject({ state: 'cancelled', counts: { cancelled: 5 } })
  expect(await seen('stopped')).toBe(5)
  const countsOf = async (jobId: string) => (await findJob(stack, jobId)).counts
  await expect.poll(() => countsOf(waiting.job_id), { timeout: 10_000 }).toMatchObject({ succeeded: 1 })
  await sleep(LONG_MS)
  expect(await countsOf(kept.job_id)).toMatchObject({ running: 1 })
  const lines = await logLines()
  expect(lines.length).toBeLessThan((MOST_LINES * (performance.now() - fullSinceMs)) / 60_000)
  expect(lines.filter((line) => line.includes(PRINTED) || line.includes('"args"'))).toEqual([])

  await giveRoom(redis)
  expect(await stack.ended(waiting.job_id)).toMatchObject({ state: 'succeeded' })
  expect(await stack.ended(kept.job_id)).toMatchObject({ state: 'succeeded' })
  expect(await seen('began')).toBe(8)
}, 180_000)

test('a server and a worker can be started meanwhile, and what the server is told is done', async () => {
  const { stack, redis } = await stackOnOwnRedis(2)
  const witness = await witnessFile()
  const { job_id } = await stack.submit({ targets: '@web', command: `echo began >> ${witness.path}; sleep 300` })
  await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBe(2)
  await fillRedis(redis)
  await stack.restartServer()
  const worker = await stack.startWorker()
  expect((await stack.ask('POST', `/v1/jobs/${job_id}/cancel`, {})).status).toBeLessThan(300)
  expect(await stack.ended(job_id)).toMatchObject({ state: 'cancelled', counts: { cancelled: 2 } })
  await stack.workers[0]?.stop()
  await giveRoom(redis)
  const next = await stack.submit({ targets: '@web', command: 'true' })
  expect(await stack.ended(next.job_id)).toMatchObject({ state: 'succeeded' })
  await worker.stop()
}, 120_000)

test('output that finds no room is omitted and said to be, and the command goes on to its end', async () => {
  const { stack, redis, logLines } = await stackOnOwnRedis(2)
  const witness = await witnessFile()
  const print = `i=0; while [ $i -lt 40 ]; do echo "$i ${PRINTED}"; i=$((i+1)); sleep 0.5; done`
  const command = `echo first; echo began >> ${witness.path}; sleep 2; ${print}; echo ended >> ${witness.path}; exit 3`
  const { job_id } = await stack.submit({ targets: '@web', command })
  await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBe(2)
  await sleep(1_000)
  await fillRedis(redis)
  const job = await stack.ended(job_id)
  expect(job).toMatchObject({ state: 'failed', problems: [{ reason: 'exit_nonzero', exit_code: 3, count: 2 }] })
  expect(await witness.lines()).toHaveLength(4)
  const bytes = 6 + Array.from({ length: 40 }, (_, i) => `${i} ${PRINTED}\n`).join('').length
  const run = OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${job_id}/runs/web01`)).body)
  expect(run).toMatchObject({ stdout: { bytes, omitted_bytes: bytes - 6 }, output_complete: false })
  expect(run.notice).toContain('no room')
  const lines = await logLines()
  expect(lines.length).toBeLessThan(MOST_LINES)
  expect(lines.filter((line) => line.includes(PRINTED) || line.includes('"args"'))).toEqual([])
}, 120_000)

test('a Redis that is full for a moment costs no output', async () => {
  const { stack, redis } = await stackOnOwnRedis(2)
  const witness = await witnessFile()
  const command = `echo began >> ${witness.path}; sleep 2; echo out; echo ended >> ${witness.path}`
  const { job_id } = await stack.submit({ targets: '@web', command })
  await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBe(2)
  await fillRedis(redis)
  await expect.poll(async () => (await witness.lines()).length, { timeout: 10_000 }).toBe(4)
  await sleep(1_500)
  expect(isTerminalJob((await findJob(stack, job_id)).state)).toBe(false)
  await giveRoom(redis)
  expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
  const { body } = await stack.ask('GET', `/v1/jobs/${job_id}/output`)
  const groups = [{ stdout: 'out\n', count: 2, output_complete: true }]
  expect(OPERATIONS.gather_output.output.parse(body).groups).toMatchObject(groups)
}, 60_000)
