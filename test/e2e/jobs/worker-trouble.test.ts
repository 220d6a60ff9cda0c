/**
 * A worker is stopped in its tracks, blocked, killed or told to go while commands run. What nobody can know is called
 * lost, what is known is told, and a worker that comes back changes nothing that was said meanwhile.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { OPERATIONS } from '@muster/contract'
import { startProcess } from '@muster/runtime'
import { describe, expect, onTestFinished, test } from 'vitest'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

/** Longer than a lease and two sweeps. */
const LONG_MS = 30_000

/** Lets a signal block the event loop of a worker, as a long computation would. */
const BLOCKER = `process.on('SIGUSR2',()=>{const end=Date.now()+${LONG_MS};while(Date.now()<end);})`
const BLOCKABLE = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(BLOCKER)}` }

async function runOf(stack: Stack, jobId: string, host = 'web01') {
  return OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs/${host}`)).body)
}

/** A job whose command writes a line every 200 ms, held by the only worker; then another worker is there too. */
async function startAlive() {
  const stack = await startStack({ ...fleetFiles(1), env: BLOCKABLE })
  const witness = await witnessFile()
  const command = `while :; do echo alive >> ${witness.path}; sleep 0.2; done`
  const { job_id } = await stack.submit({ targets: 'web01', command, kill_grace_s: 0.5 })
  await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBeGreaterThan(0)
  const [worker] = stack.workers
  if (worker === undefined) throw new Error('no worker was started')
  await stack.startWorker()
  return { stack, worker, witness, jobId: job_id }
}

describe('a worker', () => {
  test.each([
    ['stopped in its tracks', 'SIGSTOP'],
    ['with a blocked event loop', 'SIGUSR2'],
  ] as const)(
    '%s for longer than its lease: the run is lost; when it wakes it kills the command, and its result is kept beside',
    async (_what, signal) => {
      const { stack, worker, witness, jobId } = await startAlive()
      process.kill(worker.pid, signal)
      const job = await stack.ended(jobId)
      expect(job.problems).toMatchObject([{ state: 'lost', reason: 'worker_lost' }])
      expect(await runOf(stack, jobId)).toMatchObject({ remote: 'unknown', safe_to_retry: false, late_result: null })
      if (signal === 'SIGSTOP') process.kill(worker.pid, 'SIGCONT')

      await expect.poll(async () => (await runOf(stack, jobId)).late_result, { timeout: 30_000 }).not.toBeNull()
      expect(await runOf(stack, jobId)).toMatchObject({ state: 'lost', exit_code: null })
      const { length } = await witness.lines()
      await sleep(1_000)
      expect(await witness.lines()).toHaveLength(length)
    },
    120_000,
  )

  test('killed: what it ran is lost, and a command that may run twice is run by another worker', async () => {
    const stack = await startStack({ ...fleetFiles(2) })
    const witness = await witnessFile()
    const command = `echo ran >> ${witness.path}; [ "$(wc -l < ${witness.path})" -gt 1 ] || sleep 60`
    const once = await stack.submit({ targets: 'web01', command: 'sleep 60' })
    const twice = await stack.submit({ targets: 'web02', command, retry_on: ['lost'], retries: 1, retry_backoff_s: 0 })
    await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBe(1)
    await expect.poll(async () => (await runOf(stack, once.job_id)).state, { timeout: 20_000 }).toBe('running')
    const [worker] = stack.workers
    if (worker === undefined) throw new Error('no worker was started')
    process.kill(worker.pid, 'SIGKILL')
    await stack.startWorker()
    expect((await stack.ended(once.job_id)).problems).toMatchObject([{ state: 'lost', reason: 'worker_lost' }])
    expect(await stack.ended(twice.job_id)).toMatchObject({ state: 'succeeded' })
    expect(await runOf(stack, twice.job_id, 'web02')).toMatchObject({ attempt: 2, exit_code: 0 })
    expect(await witness.lines()).toHaveLength(2)
  }, 120_000)

  test('a dead worker does not hold up a cancel', async () => {
    const { stack, worker, jobId } = await startAlive()
    process.kill(worker.pid, 'SIGKILL')
    expect((await stack.ask('POST', `/v1/jobs/${jobId}/cancel`)).status).toBe(202)
    const job = await stack.ended(jobId)
    // It may still run: nobody was there to kill it. So it is not called cancelled.
    expect(job).toMatchObject({ state: 'failed', counts: { lost: 1 } })
    expect(job.cancel_requested_at).not.toBeNull()
  }, 120_000)
})

test('a job ends by its start deadline where there is no worker at all', async () => {
  const stack = await startStack({ ...fleetFiles(2), workers: 0 })
  const { job_id } = await stack.submit({ targets: '@web', command: 'true', start_deadline_s: 1 })
  expect(await stack.ended(job_id)).toMatchObject({ state: 'failed', counts: { skipped: 2 } })
}, 60_000)

test('a cancel through any server stops what any worker runs', async () => {
  const stack = await startStack({ ...fleetFiles(4), workers: 2 })
  const dataDir = await mkdtemp(join(tmpdir(), 'muster-second-server-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const second = await startProcess({
    name: 'second server',
    command: process.execPath,
    args: [resolve('apps/server/dist/main.js')],
    env: { ...stack.env, MUSTER_DATA_DIR: dataDir, MUSTER_API_KEY: stack.apiKey },
    ready: 'message',
  })
  onTestFinished(() => second.stop())
  const witness = await witnessFile()
  const command = `echo began >> ${witness.path}; sleep 60; echo ended >> ${witness.path}`
  const { job_id } = await stack.submit({ targets: '@web', command, kill_grace_s: 1 })
  await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBe(4)
  const { url }: { url: string } = JSON.parse(await readFile(join(dataDir, 'server.json'), 'utf8'))
  const headers = { authorization: `Bearer ${stack.apiKey}`, 'content-type': 'application/json' }
  const answer = await fetch(`${url}/v1/jobs/${job_id}/cancel`, { method: 'POST', headers, body: '{}' })
  expect([answer.status, await answer.json()]).toMatchObject([202, { state: 'cancelling' }])
  expect(await stack.ended(job_id)).toMatchObject({ state: 'cancelled', counts: { cancelled: 4 } })
  expect(await witness.lines()).toEqual(['began', 'began', 'began', 'began'])
}, 60_000)
