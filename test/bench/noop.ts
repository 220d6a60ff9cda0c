/**
 * Runs that do nothing, through API, ledger, queue and worker: what a run costs beside SSH, in time, CPU and memory.
 * The worker is noop-worker.ts. What BullMQ keeps of the latest tickets is filled up first, so that memory is the
 * runs'.
 */
import { cpus } from 'node:os'
import { Closers } from '@muster/runtime'
import type { Redis } from 'ioredis'
import { median } from './process-cost.ts'
import { type StackCost, startBenchStack } from './stack.ts'
import { figure, type Row, say, table } from './table.ts'

const RUNS = 10_000
const ROUNDS = 5
const PLACES = 300
const CONCURRENCY = 200

/** Prints its part of the table. */
export async function benchNoop(): Promise<void> {
  const row = table(`Runs that do nothing (jobs of ${RUNS}, concurrency ${CONCURRENCY})`)
  for (const workers of [1, 2]) await withWorkers(row, workers)
}

async function withWorkers(row: Row, workerCount: number): Promise<void> {
  const closers = new Closers(say)
  try {
    const yaml = `defaults: { user: nobody }\nhosts:\n  "n[00001-${RUNS}]": {}\n`
    const stack = await startBenchStack(closers, { yaml, knownHosts: '' })
    const places = Math.ceil(PLACES / workerCount)
    const workers = await Promise.all(
      Array.from({ length: workerCount }, () => stack.startWorker({ kind: 'noop', places })),
    )
    const runJob = () => stack.runJob({ targets: '@*', command: 'true', concurrency: CONCURRENCY })
    await runJob()
    const emptyBytes = await usedMemory(stack.redis)
    const costs: StackCost[] = []
    for (let round = 0; round < ROUNDS; round += 1) costs.push(await stack.measure(workers, runJob))
    const bytes = ((await usedMemory(stack.redis)) - emptyBytes) / (RUNS * ROUNDS)

    const by = `${workerCount} worker process${workerCount === 1 ? '' : 'es'}`
    row(
      `runs per second, ${by} (${ROUNDS} rounds)`,
      figure(
        costs.map(({ wallMs }) => (RUNS * 1_000) / wallMs),
        '',
        0,
      ),
      '≥ 1500',
    )
    for (const part of ['worker', 'server', 'redis'] as const) {
      row(
        `– CPU per run, ${part}`,
        figure(
          costs.map(({ cpu }) => cpu[part] / RUNS),
          'ms',
          3,
        ),
      )
    }
    const all = costs.map(({ cpu }) => (cpu.worker + cpu.server + cpu.redis) / RUNS)
    const enough = ((cpus().length * 1_000) / median(all)).toFixed(0)
    row('– all CPU per run', `${figure(all, 'ms', 3)}: these cores are enough for ${enough} runs a second`)
    if (workerCount === 1)
      row('Redis memory per run that has ended without output', `${bytes.toFixed(0)} bytes`, '< 600 bytes')
  } finally {
    await closers.close()
  }
}

/** What Redis holds, in bytes, without what a rewrite of its file needs for a while. */
async function usedMemory(redis: Redis): Promise<number> {
  const info = await redis.info('memory')
  const [used, aofBuffer] = ['used_memory', 'mem_aof_buffer'].map((name) =>
    Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]),
  )
  return (used ?? Number.NaN) - (aofBuffer ?? 0)
}
