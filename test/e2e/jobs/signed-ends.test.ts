/** Ends that workers sign, with a whole Muster: what Redis is made to say becomes no success anywhere. */
import { JobReport, OPERATIONS } from '@muster/contract'
import { expect, test } from 'vitest'
import { muster } from '../../support/cli/muster-process.ts'
import { use } from '../../support/mcp/tool-call.ts'
import { groupsOf, redisOf, runOf, startForSecrets } from '../../support/stack/secret-stack.ts'
import type { Stack } from '../../support/stack/stack.ts'

const LOST = { state: 'lost', remote: 'unknown', reason: 'end_unverified', exit_code: null, vouched_by: null }

/** Runs a job that fails on two hosts, and makes Redis say that it has succeeded on both. */
async function forgedJob(stack: Stack): Promise<string> {
  const { redis, key } = redisOf(stack)
  const { job_id: jobId } = await stack.submit({ targets: 'h1,h2', command: 'echo printed; exit 3' })
  // Not by asking the server: it would keep the counts.
  await expect.poll(() => redis.hget(key(`job:${jobId}`), 'ended'), { timeout: 20_000 }).not.toBeNull()
  for (const index of [0, 1]) {
    await redis.hset(key(`run:${jobId}:${index}`), { state: 'succeeded', exit_code: 0 })
    await redis.hdel(key(`run:${jobId}:${index}`), 'reason', 'detail')
  }
  await redis.hset(key(`job:${jobId}`), { state: 'succeeded', 'n:failed': 0, 'n:succeeded': 2 })
  await redis.del(key(`job:${jobId}:wrong`), key(`job:${jobId}:errors`))
  return jobId
}

async function reportOf(stack: Stack, jobId: string): Promise<JobReport> {
  return JobReport.parse((await stack.ask('GET', `/v1/jobs/${jobId}`)).body)
}

test('a run says who vouches for its end: the worker that ran it, or the ledger where none did', async () => {
  const stack = await startForSecrets()
  const { job_id: jobId } = await stack.submit({ targets: 'h1', command: 'echo printed; echo told >&2' })
  expect(await stack.ended(jobId)).toMatchObject({ state: 'succeeded', counts: { succeeded: 1 } })
  const { reached, ...run } = await runOf(stack, jobId)
  expect(run).toMatchObject({ state: 'succeeded', exit_code: 0, vouched_by: 'worker' })
  expect(reached?.address).toBe('127.0.1.1')
  const durable = await stack.submit({ targets: 'h1', command: 'exit 4', durable: true })
  await stack.ended(durable.job_id)
  expect(await runOf(stack, durable.job_id)).toMatchObject({ state: 'failed', exit_code: 4, vouched_by: 'worker' })
  for (const worker of stack.workers) await worker.stop()
  const waiting = await stack.submit({ targets: 'h1', command: 'true' })
  await stack.ask('POST', `/v1/jobs/${waiting.job_id}/cancel`, {})
  expect(await runOf(stack, waiting.job_id)).toMatchObject({ state: 'cancelled', vouched_by: 'ledger' })
}, 60_000)

test('runs that Redis is made to call a success are lost, over REST, MCP and in the terminal', async () => {
  const stack = await startForSecrets()
  const jobId = await forgedJob(stack)
  const counts = { succeeded: 0, failed: 0, lost: 2 }
  expect(await reportOf(stack, jobId)).toMatchObject({
    state: 'failed',
    counts,
    problems: [{ state: 'lost', reason: 'end_unverified', count: 2 }],
  })
  expect(await runOf(stack, jobId)).toMatchObject(LOST)
  const list = OPERATIONS.list_runs.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs`)).body)
  expect(list.runs).toMatchObject([LOST, LOST])
  const jobs = OPERATIONS.list_jobs.output.parse((await stack.ask('GET', '/v1/jobs')).body)
  expect(jobs.jobs).toMatchObject([{ state: 'failed', counts }])
  expect((await groupsOf(stack, jobId)).map(({ state }) => state)).toEqual(['lost', 'lost'])
  const rerun = await stack.ask('POST', `/v1/jobs/${jobId}/rerun`, { states: ['succeeded'] })
  expect(rerun).toMatchObject({ status: 422, body: { code: 'no_targets' } })
  const events = await fetch(`${stack.url}/v1/jobs/${jobId}/events`, {
    headers: { authorization: `Bearer ${stack.apiKey}` },
  })
  const told = await events.text()
  expect(told).toContain('"state":"failed"')
  expect(told).not.toContain('"state":"succeeded"')

  expect((await use(stack, 'get_job', { job_id: jobId })).structuredContent).toMatchObject({
    state: 'failed',
    counts: { lost: 2 },
    problems: [{ reason: 'end_unverified' }],
  })
  const found = await use(stack, 'get_output', { job_id: jobId, grep: 'printed' })
  expect(found.content[0]?.text).toContain('lost')
  expect(found.content[0]?.text).not.toContain('succeeded')

  const env = { ...stack.env, MUSTER_URL: stack.url, MUSTER_API_KEY: stack.apiKey }
  expect((await muster(env, 'wait', jobId)).status).toBe(5)
  const shown = await muster(env, 'show', jobId, 'h1')
  expect(shown.out.toString()).toContain('lost, end_unverified')
  expect(shown.out.toString()).toContain('Redis says succeeded, exit code 0')
  const printed = await muster(env, 'output', jobId, 'h1')
  expect([printed.out.toString(), printed.said]).toEqual(['printed\n', expect.stringContaining('no worker vouches')])
}, 60_000)

test('counts that were read before stay, whatever Redis is made to say later', async () => {
  const stack = await startForSecrets()
  const { redis, key } = redisOf(stack)
  const { job_id: jobId } = await stack.submit({ targets: 'h1,h2', command: 'exit 3' })
  const before = await stack.ended(jobId)
  await redis.hset(key(`job:${jobId}`), { state: 'succeeded', 'n:failed': 0, 'n:succeeded': 2 })
  expect(await reportOf(stack, jobId)).toMatchObject({ state: 'failed', counts: before.counts })
}, 60_000)

test('a server without public keys of workers believes Redis, and vouches for nothing', async () => {
  const stack = await startForSecrets({ serverEnv: { MUSTER_WORKER_PUBLIC_KEY_FILE: '' } })
  const jobId = await forgedJob(stack)
  expect(await runOf(stack, jobId)).toMatchObject({ state: 'succeeded', vouched_by: null })
}, 60_000)
