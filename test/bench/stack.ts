/** A whole Muster as processes: Redis, one server, one worker, over an inventory that the benchmark gives. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Input, type Job, OPERATIONS, type Request } from '@muster/contract'
import { type Closers, type RunningProcess, startProcess, startRedis } from '@muster/runtime'
import { Redis } from 'ioredis'

/** A running Muster. */
export type BenchStack = {
  readonly server: RunningProcess
  readonly worker: RunningProcess | undefined
  readonly redisUrl: string
  /** CPU time of Redis so far, user and system, in milliseconds. */
  redisCpuMs(): Promise<number>
  /** Submits a job and waits for its end. */
  runJob(request: Request<'submit_job'>): Promise<Job>
  /** One request; answers the body and how long the answer took, in milliseconds. */
  timed(method: 'GET' | 'POST', path: string, body?: unknown): Promise<{ ms: number; body: unknown }>
}

/** Files of an inventory: its text, and what is beside it. */
export type BenchInventory = { yaml: string; knownHosts: string }

/** Starts the processes. Everything is registered with `closers`. */
export async function startBenchStack(
  closers: Closers,
  inventory: BenchInventory,
  options: { withWorker: boolean },
): Promise<BenchStack> {
  const dataDir = await mkdtemp(join(tmpdir(), 'muster-bench-'))
  closers.add('bench data', () => rm(dataDir, { recursive: true, force: true }))
  await writeFile(join(dataDir, 'inventory.yaml'), inventory.yaml)
  await writeFile(join(dataDir, 'known_hosts'), inventory.knownHosts)
  const redis = await startRedis({ dataDir, allowInstall: true, env: process.env, log: () => {} })
  closers.add('redis', () => redis.close())
  const env = {
    ...process.env,
    REDIS_URL: redis.url,
    MUSTER_DATA_DIR: dataDir,
    MUSTER_INVENTORY: join(dataDir, 'inventory.yaml'),
    MUSTER_KNOWN_HOSTS: join(dataDir, 'known_hosts'),
    MUSTER_PORT: '0',
    LOG_LEVEL: 'warn',
  }
  const start = async (app: string) => {
    const script = resolve('apps', app, 'dist/main.js')
    const child = await startProcess({ name: app, command: process.execPath, args: [script], env, ready: 'message' })
    closers.add(app, () => child.stop(), 30_000)
    return child
  }
  const server = await start('server')
  const worker = options.withWorker ? await start('worker') : undefined
  const { url } = JSON.parse(await readFile(join(dataDir, 'server.json'), 'utf8'))
  const key = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim()
  const timed: BenchStack['timed'] = async (method, path, body) => {
    const startedMs = performance.now()
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    })
    const answer: unknown = await response.json()
    const ms = performance.now() - startedMs
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`)
    return { ms, body: answer }
  }
  const wait = { wait_s: 45 } satisfies Partial<Input<'get_job'>>
  const runJob: BenchStack['runJob'] = async (request) => {
    let job = OPERATIONS.submit_job.output.parse((await timed('POST', '/v1/jobs', request)).body)
    while (job.ended_at === null) {
      const path = `/v1/jobs/${job.job_id}?wait_s=${wait.wait_s}`
      job = OPERATIONS.get_job.output.parse((await timed('GET', path)).body)
    }
    return job
  }
  const client = new Redis(redis.url)
  closers.add('redis client', () => client.disconnect())
  const redisCpuMs = async () => {
    const info = await client.info('cpu')
    const seconds = [...info.matchAll(/^used_cpu_(?:user|sys):([\d.]+)/gm)].map(([, value]) => Number(value))
    return seconds.reduce((sum, value) => sum + value, 0) * 1_000
  }
  return { server, worker, redisUrl: redis.url, redisCpuMs, runJob, timed }
}
