/**
 * `npm run bench`: the figures of docs/benchmarks.md, measured here and now, side by side. Nothing is asserted; the
 * machine is named, so that two tables can be compared honestly.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Closers, startProcess } from '@muster/runtime'
import { benchOutcomes } from './outcomes.ts'
import { cpuMs, median, peakMemoryMb } from './process-cost.ts'
import { startBenchStack } from './stack.ts'

const HOST_COUNT = 10_000
const FLEET_SIZE = 200
const RUNS = 1_000
const ROUNDS = 3
const CONCURRENCY = 50

const say = (line: string) => process.stdout.write(`${line}\n`)
const row = (what: string, measured: string, goal: string) => say(`| ${what} | ${measured} | ${goal} |`)
const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))

say(
  `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}\n`,
)
say('| what | measured | goal |\n|---|---|---|')
await benchSubmit()
await benchRuns()
await benchOutcomes(row, say)

/** Submitting to ten thousand hosts and reading the status: no worker, so nothing else has the cores. */
async function benchSubmit(): Promise<void> {
  const closers = new Closers(say)
  try {
    const yaml = `defaults: { user: nobody }\nhosts:\n  "n[00001-${HOST_COUNT}]": {}\n`
    const stack = await startBenchStack(closers, { yaml, knownHosts: '' }, { withWorker: false })
    const submits: number[] = []
    const reads: number[] = []
    for (let i = 0; i < 15; i += 1) {
      const { ms, body } = await stack.timed('POST', '/v1/jobs', { targets: '@*', command: 'true' })
      submits.push(ms)
      const path = (body as { links: { self: string } }).links.self
      for (let n = 0; n < 10; n += 1) reads.push((await stack.timed('GET', path)).ms)
    }
    const range = (values: number[]) =>
      `median ${median(values).toFixed(1)} ms, worst ${Math.max(...values).toFixed(1)} ms`
    row(`submit a job to ${HOST_COUNT} hosts (15 times)`, range(submits), '< 150 ms')
    row(`read its status (150 times)`, range(reads), '< 10 ms')
  } finally {
    await closers.close()
  }
}

/** The same runs with and without the queue path, against the same fleet; then a worker with 200 runs in flight. */
async function benchRuns(): Promise<void> {
  const closers = new Closers(say)
  try {
    const directory = await mkdtemp(join(tmpdir(), 'muster-bench-fleet-'))
    closers.add('fleet files', () => rm(directory, { recursive: true, force: true }))
    const args = [script('fleet.js'), String(FLEET_SIZE), directory]
    const started = await startProcess({
      name: 'fleet',
      command: process.execPath,
      args,
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
    const stack = await startBenchStack(closers, { yaml, knownHosts }, { withWorker: true })
    const { worker } = stack
    if (worker === undefined) throw new Error('the stack was started with a worker')

    const costs = async () => ({
      worker: await cpuMs(worker.pid),
      server: await cpuMs(stack.server.pid),
      redis: await stack.redisCpuMs(),
    })
    const bare: number[] = []
    const queue: number[] = []
    const parts: Record<'worker' | 'server' | 'redis', number[]> = { worker: [], server: [], redis: [] }
    const rates: { bare: number[]; queue: number[] } = { bare: [], queue: [] }
    const runJobs = async () => {
      for (let done = 0; done < RUNS; done += FLEET_SIZE) {
        const job = await stack.runJob({ targets: '@*', command: 'true', concurrency: CONCURRENCY })
        if (job.state !== 'succeeded') throw new Error(`a job ended ${job.state}: ${JSON.stringify(job.counts)}`)
      }
    }
    await runJobs()
    for (let round = 0; round < ROUNDS; round += 1) {
      const loop = [script('bare-loop.js'), join(directory, 'fleet.json'), String(RUNS), String(CONCURRENCY)]
      const { stdout } = await promisify(execFile)(process.execPath, loop)
      const measured: { wallMs: number; cpuMs: number } = JSON.parse(stdout)
      bare.push(measured.cpuMs / RUNS)
      rates.bare.push((RUNS * 1_000) / measured.wallMs)

      const before = await costs()
      const startedMs = performance.now()
      await runJobs()
      rates.queue.push((RUNS * 1_000) / (performance.now() - startedMs))
      const after = await costs()
      const spent = (['worker', 'server', 'redis'] as const).map(
        (name) => [name, (after[name] - before[name]) / RUNS] as const,
      )
      for (const [name, ms] of spent) parts[name].push(ms)
      queue.push(spent.reduce((sum, [, ms]) => sum + ms, 0))
    }
    const ms = (values: number[]) => `${median(values).toFixed(2)} ms`
    row(`bare SSH work, CPU per run (connect, \`true\`, close; ${ROUNDS} × ${RUNS})`, ms(bare), '')
    row('the same through the whole queue path, CPU per run', ms(queue), '')
    for (const [name, values] of Object.entries(parts)) row(`– of that, ${name}`, ms(values), '')
    const added = queue.map((value, i) => value - (bare[i] ?? 0))
    row('what the queue path adds', ms(added), '< 5 ms')
    row(
      'runs per second, bare / queue path',
      `${median(rates.bare).toFixed(0)} / ${median(rates.queue).toFixed(0)}`,
      '',
    )

    await stack.runJob({ targets: '@*', command: 'sleep 3; echo done', concurrency: FLEET_SIZE })
    row(`worker, peak memory with ${FLEET_SIZE} runs in flight`, `${await peakMemoryMb(worker.pid)} MB`, '< 200 MB')
  } finally {
    await closers.close()
  }
}
