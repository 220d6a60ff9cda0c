/** The same runs over warm connections with and without the queue path; then a worker with 200 runs in flight. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Closers, startProcess } from '@muster/runtime'
import { median, peakMemoryMb } from './process-cost.ts'
import { benchScript, startBenchStack } from './stack.ts'
import { figure, say, table } from './table.ts'

const FLEET_SIZE = 200
const RUNS = 1_000
const ROUNDS = 3
const CONCURRENCY = 50

/** Prints its part of the table. */
export async function benchRuns(): Promise<void> {
  const closers = new Closers(say)
  try {
    const row = table('The queue path beside bare SSH work, warm')
    const directory = await mkdtemp(join(tmpdir(), 'muster-bench-fleet-'))
    closers.add('fleet files', () => rm(directory, { recursive: true, force: true }))
    const started = await startProcess({
      name: 'fleet',
      command: process.execPath,
      args: [benchScript('fleet'), String(FLEET_SIZE), directory],
      env: process.env,
      ready: 'message',
    })
    closers.add('fleet', () => started.stop())
    const fleet = JSON.parse(await readFile(join(directory, 'fleet.json'), 'utf8'))
    const hosts = fleet.hosts.map(
      (host: { name: string; address: string; port: number }) =>
        `  ${host.name}: { address: ${host.address}, port: ${host.port} }\n`,
    )
    const yaml = `defaults: { user: ${fleet.hosts[0].user}, identity_file: ${fleet.key} }\nhosts:\n${hosts.join('')}`
    const knownHosts = await readFile(fleet.knownHosts, 'utf8')
    const stack = await startBenchStack(closers, { yaml, knownHosts })
    const worker = await stack.startWorker()

    const bare: number[] = []
    const queue: number[] = []
    const parts: Record<'worker' | 'server' | 'redis', number[]> = { worker: [], server: [], redis: [] }
    const rates: { bare: number[]; queue: number[] } = { bare: [], queue: [] }
    const runJobs = async () => {
      for (let done = 0; done < RUNS; done += FLEET_SIZE) {
        await stack.runJob({ targets: '@*', command: 'true', concurrency: CONCURRENCY })
      }
    }
    await runJobs()
    for (let round = 0; round < ROUNDS; round += 1) {
      const loop = [benchScript('bare-loop'), join(directory, 'fleet.json'), String(RUNS), String(CONCURRENCY)]
      const { stdout } = await promisify(execFile)(process.execPath, loop)
      const measured: { wallMs: number; cpuMs: number } = JSON.parse(stdout)
      bare.push(measured.cpuMs / RUNS)
      rates.bare.push((RUNS * 1_000) / measured.wallMs)

      const { wallMs, cpu } = await stack.measure([worker], runJobs)
      rates.queue.push((RUNS * 1_000) / wallMs)
      for (const name of ['worker', 'server', 'redis'] as const) parts[name].push(cpu[name] / RUNS)
      queue.push((cpu.worker + cpu.server + cpu.redis) / RUNS)
    }
    row(`bare SSH work, CPU per run (\`true\` over open connections; ${ROUNDS} × ${RUNS})`, figure(bare, 'ms'))
    row('the same through the whole queue path, CPU per run', figure(queue, 'ms'))
    for (const [name, values] of Object.entries(parts)) row(`– of that, ${name}`, figure(values, 'ms'))
    const added = queue.map((value, i) => value - (bare[i] ?? 0))
    row('what the queue path adds', figure(added, 'ms'), '< 5 ms')
    row('runs per second, bare / queue path', `${median(rates.bare).toFixed(0)} / ${median(rates.queue).toFixed(0)}`)
    await stack.runJob({ targets: '@*', command: 'sleep 3; echo done', concurrency: FLEET_SIZE })
    row(`worker, peak memory with ${FLEET_SIZE} runs in flight`, `${await peakMemoryMb(worker.pid)} MB`, '< 200 MB')
  } finally {
    await closers.close()
  }
}
