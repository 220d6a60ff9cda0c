/** A worker of several processes, from outside: what it starts, keeps running, and ends. */
import { resolve } from 'node:path'
import { OPERATIONS } from '@muster/contract'
import { startProcess } from '@muster/runtime'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { descendantsOf } from '../../support/ssh/sshd.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

const LONG = { timeout: 30_000 }

const LogLine = z.object({ level: z.string(), msg: z.string(), err: z.unknown().optional() })

async function startTwo(env: Record<string, string> = {}) {
  const stack = await startStack({ ...fleetFiles(8), env: { MUSTER_WORKER_PROCESSES: '2', ...env } })
  const [worker] = stack.workers
  if (worker === undefined) throw new Error('no worker was started')
  const processes = await descendantsOf(worker.pid)
  expect(processes).toHaveLength(2)
  return { stack, worker, processes }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function runningCommands(stack: Stack, command: string) {
  const { job_id } = await stack.submit({ targets: '@*', command, kill_grace_s: 0.5 })
  await expect
    .poll(async () => {
      const { body } = await stack.ask('GET', `/v1/jobs/${job_id}`)
      return OPERATIONS.get_job.output.parse(body).counts.running
    }, LONG)
    .toBe(8)
  return job_id
}

test('every process works, and one that dies is replaced while the others go on', async () => {
  const { stack, worker, processes } = await startTwo({ MUSTER_WORKER_CONCURRENCY: '4' })
  const jobId = await runningCommands(stack, 'sleep 2')
  const { body } = await stack.ask('GET', `/v1/jobs/${jobId}/runs`)
  expect(new Set(OPERATIONS.list_runs.output.parse(body).runs.map((run) => run.worker)).size).toBe(2)
  expect((await stack.ended(jobId)).state).toBe('succeeded')

  const [victim = 0, other = 0] = processes
  process.kill(victim, 'SIGKILL')
  await expect.poll(async () => (await descendantsOf(worker.pid)).length, LONG).toBe(2)
  expect(isAlive(other)).toBe(true)
  expect((await stack.ended((await stack.submit({ targets: '@*', command: 'true' })).job_id)).state).toBe('succeeded')
}, 90_000)

test('one that is told to end ends all its processes in peace, and then itself', async () => {
  const { stack, worker, processes } = await startTwo({ MUSTER_SHUTDOWN_GRACE_S: '20' })
  const jobId = await runningCommands(stack, 'sleep 2')
  process.kill(worker.pid, 'SIGTERM')
  expect(await worker.exited).toEqual({ code: 0, signal: undefined })
  expect(processes.filter(isAlive)).toEqual([])
  expect((await stack.ended(jobId)).state).toBe('succeeded')
}, 90_000)

test('a second signal ends all of them at once', async () => {
  const { stack, worker, processes } = await startTwo({ MUSTER_SHUTDOWN_GRACE_S: '3000', LOG_LEVEL: 'info' })
  await runningCommands(stack, 'sleep 20')
  process.kill(worker.pid, 'SIGTERM')
  await expect.poll(() => worker.lastLines().filter((line) => line.includes('closing: SIGTERM')).length, LONG).toBe(3)
  process.kill(worker.pid, 'SIGTERM')
  expect(await worker.exited).toEqual({ code: 143, signal: undefined })
  await expect.poll(() => processes.filter(isAlive), { timeout: 5_000 }).toEqual([])
}, 90_000)

test('when it is killed outright its processes do not stay behind', async () => {
  const { stack, worker, processes } = await startTwo()
  await runningCommands(stack, 'sleep 60')
  process.kill(worker.pid, 'SIGKILL')
  await expect.poll(() => processes.filter(isAlive), LONG).toEqual([])
}, 90_000)

test('when its processes cannot start each says why in a line, and it ends with a fault', async () => {
  const lines: string[] = []
  const stack = await startStack({ ...fleetFiles(1), workers: 0 })
  const start = startProcess({
    name: 'worker',
    command: process.execPath,
    args: [resolve('apps/worker/dist/main.js')],
    env: { ...stack.env, MUSTER_WORKER_PROCESSES: '2', MUSTER_INVENTORY: '/nowhere/inventory.yaml' },
    ready: 'message',
    log: (line) => lines.push(line),
  })
  await expect(start).rejects.toThrow('worker ended early, with status 1')
  const faults = lines.map((line) => LogLine.parse(JSON.parse(line))).filter(({ level }) => level === 'fatal')
  // The second may be told to end before it says anything.
  expect([...new Set(faults.map(({ msg }) => msg))].toSorted()).toEqual([
    expect.stringContaining('/nowhere/inventory.yaml: there is no such file'),
    'worker ended early, with status 1; its own lines say why',
  ])
  expect(faults.filter(({ err }) => err !== undefined)).toEqual([])
}, 60_000)
