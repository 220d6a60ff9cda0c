/**
 * Reading a job over MCP, in both generations of the protocol and over REST beside them: how many calls a second, how
 * long one takes, what it costs the server, and whether the server's memory stays as it is. The load comes from another
 * process on the same cores.
 */
import { join } from 'node:path'
import { Closers } from '@muster/runtime'
import { z } from 'zod'
import { memoryMb, runTimed } from './process-cost.ts'
import { type BenchStack, benchScript, startBenchStack } from './stack.ts'
import { figure, say, table } from './table.ts'

const HOSTS = 100
const CLIENTS = 20
const ROUNDS = 5
const CALLS = 3_000
/** Enough for the code to be compiled and the heap to have found its size. */
const WARM_UP_CALLS = 2_000
/** Memory is read after so many calls, counted from a server that has just started. */
const MEMORY_AFTER_CALLS = [1_000, 5_000, 10_000, 20_000] as const

/** The ways to read a job, by the names that mcp-load.ts knows. */
const WAYS = {
  rest: 'REST',
  legacy: 'MCP, 2025-11-25',
  modern: 'MCP, 2026-07-28',
} as const
type Way = keyof typeof WAYS
const NAMES: readonly Way[] = ['rest', 'legacy', 'modern']

const Load = z.object({ wallMs: z.number(), p50Ms: z.number(), p99Ms: z.number() })
type Round = z.infer<typeof Load> & { readonly serverCpuMs: number; readonly redisCpuMs: number }

/** Prints its part of the table. */
export async function benchMcp(): Promise<void> {
  const rounds: Record<Way, Round[]> = { rest: [], legacy: [], modern: [] }
  await withJob(async (stack, jobId) => {
    for (const way of NAMES) await load(stack, way, jobId, WARM_UP_CALLS)
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const way of NAMES) rounds[way].push(await measure(stack, way, jobId))
    }
  })
  const row = table(`get_job of ${HOSTS} hosts by ${CLIENTS} clients at once (${ROUNDS} × ${CALLS} calls)`, [
    'what',
    ...NAMES.map((way) => WAYS[way]),
    'goal',
  ])
  const line = (what: string, of: (round: Round) => number, unit: string, digits: number, goal = '') => {
    const cells = NAMES.map((way) => figure(rounds[way].map(of), unit, digits))
    row(what, ...cells, goal)
  }
  line('calls a second', ({ wallMs }) => (CALLS * 1_000) / wallMs, '', 0, '≥ 150')
  line('one call, median', ({ p50Ms }) => p50Ms, 'ms', 1)
  line('one call, 99 of 100', ({ p99Ms }) => p99Ms, 'ms', 1, '< 200 ms')
  line('CPU per call, server', ({ serverCpuMs }) => serverCpuMs / CALLS, 'ms', 2)
  line('CPU per call, Redis', ({ redisCpuMs }) => redisCpuMs / CALLS, 'ms', 2)
  await benchMemory()
}

async function benchMemory(): Promise<void> {
  const row = table('Memory of the server after so many calls', ['calls', ...NAMES.map((way) => WAYS[way])])
  const columns: number[][] = []
  for (const way of NAMES) {
    await withJob(async (stack, jobId) => {
      const column: number[] = []
      let done = 0
      for (const calls of MEMORY_AFTER_CALLS) {
        await load(stack, way, jobId, calls - done)
        done = calls
        column.push(await memoryMb(stack.serverPid))
      }
      columns.push(column)
    })
  }
  for (const [i, calls] of MEMORY_AFTER_CALLS.entries()) {
    row(String(calls), ...columns.map((column) => `${column[i] ?? ''} MB`))
  }
}

/** A server of its own, and a job that has ended. */
async function withJob(work: (stack: BenchStack, jobId: string) => Promise<void>): Promise<void> {
  const closers = new Closers(say)
  try {
    const yaml = `defaults: { user: nobody }\nhosts:\n  "n[001-${HOSTS}]": {}\n`
    const stack = await startBenchStack(closers, { yaml, knownHosts: '' })
    const worker = await stack.startWorker({ kind: 'noop' })
    const { job_id: jobId } = await stack.runJob({ targets: '@*', command: 'true' })
    await worker.stop()
    await work(stack, jobId)
  } finally {
    await closers.close()
  }
}

async function load(stack: BenchStack, way: Way, jobId: string, calls: number): Promise<z.infer<typeof Load>> {
  const keyFile = join(stack.env.MUSTER_DATA_DIR ?? '', 'api-key')
  const args = [way, stack.url, keyFile, jobId, String(calls), String(CLIENTS)]
  const { out } = await runTimed([process.execPath, benchScript('mcp-load'), ...args], process.env)
  return Load.parse(JSON.parse(out))
}

async function measure(stack: BenchStack, way: Way, jobId: string): Promise<Round> {
  let found: z.infer<typeof Load> | undefined
  const { cpu } = await stack.measure([], async () => {
    found = await load(stack, way, jobId, CALLS)
  })
  if (found === undefined) throw new Error('the load was not measured')
  return { ...found, serverCpuMs: cpu.server, redisCpuMs: cpu.redis }
}
