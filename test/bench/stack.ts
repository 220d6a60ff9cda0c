/**
 * A Muster as processes: Redis, one server, and workers as they are asked for, over an inventory of the benchmark's.
 * The server signs work, and workers check it.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Job, OPERATIONS, type Request } from '@muster/contract'
import { type Closers, type RunningProcess, startProcess, startRedis } from '@muster/runtime'
import { makeKeys, SERVER_KEYS, WORKER_KEYS } from '@muster/trust'
import { Redis } from 'ioredis'
import { treeCpuMs } from './process-cost.ts'

/** What a piece of work took; CPU times in milliseconds. */
export type StackCost = {
  readonly wallMs: number
  readonly cpu: { readonly worker: number; readonly server: number; readonly redis: number }
}

/** A running Muster. */
export type BenchStack = {
  /** What a process needs to reach it: the environment of server, workers and `muster`. */
  readonly env: NodeJS.ProcessEnv
  /** Where the server listens, and its key. */
  readonly url: string
  readonly key: string
  readonly serverPid: number
  readonly redis: Redis
  /**
   * Starts a worker: `noop` is noop-worker.ts. Places and processes: 200 and 1 unless told. Stopped with the stack at
   * last.
   */
  startWorker(options?: { kind?: 'ssh' | 'noop'; places?: number; processes?: number }): Promise<RunningProcess>
  /** What the work costs these workers, the server and Redis. */
  measure(workers: readonly RunningProcess[], work: () => Promise<unknown>): Promise<StackCost>
  /** Submits a job and waits for its end. @throws when it does not succeed */
  runJob(request: Request<'submit_job'>): Promise<Job>
  /** One request; answers the body and how long the answer took, in milliseconds. @throws when it is refused */
  timed(method: 'GET' | 'POST', path: string, body?: unknown): Promise<{ ms: number; body: unknown }>
}

/** Files of an inventory: its text, and what is beside it. */
export type BenchInventory = { yaml: string; knownHosts: string }

/** The path of a script beside this one, as it was built. */
export const benchScript = (name: string): string => fileURLToPath(new URL(`${name}.js`, import.meta.url))

/** How long one request may wait for the end of a job. */
const WAIT_S = 45

/**
 * Starts Redis and a server. Everything is registered with `closers`. `settings` are variables beside the usual ones.
 */
export async function startBenchStack(
  closers: Closers,
  inventory: BenchInventory,
  settings: Readonly<Record<string, string>> = {},
): Promise<BenchStack> {
  const dataDir = await mkdtemp(join(tmpdir(), 'muster-bench-'))
  closers.add('bench data', () => rm(dataDir, { recursive: true, force: true }))
  await writeFile(join(dataDir, 'inventory.yaml'), inventory.yaml)
  await writeFile(join(dataDir, 'known_hosts'), inventory.knownHosts)
  const signing = await makeKeys(SERVER_KEYS, dataDir)
  const signingEnds = await makeKeys(WORKER_KEYS, dataDir)
  const redisServer = await startRedis({ dataDir, allowInstall: true, env: process.env, log: () => {} })
  closers.add('redis', () => redisServer.close())
  const env = {
    ...process.env,
    REDIS_URL: redisServer.url,
    MUSTER_CONFIG_DIR: dataDir,
    MUSTER_DATA_DIR: dataDir,
    MUSTER_INVENTORY: join(dataDir, 'inventory.yaml'),
    MUSTER_KNOWN_HOSTS: join(dataDir, 'known_hosts'),
    MUSTER_SECRET_DIRS: tmpdir(),
    MUSTER_PORT: '0',
    MUSTER_RATE_LIMIT_PER_MIN: '0',
    MUSTER_SUBMIT_LIMIT_PER_MIN: '0',
    MUSTER_WORKER_PROCESSES: '1',
    MUSTER_SERVER_KEY_FILE: signing.privateFile,
    MUSTER_SERVER_PUBLIC_KEY_FILE: signing.publicFile,
    MUSTER_WORKER_KEY_FILE: signingEnds.privateFile,
    MUSTER_WORKER_PUBLIC_KEY_FILE: signingEnds.publicFile,
    LOG_LEVEL: 'warn',
    ...settings,
  }
  const start = async (name: string, script: string, own: NodeJS.ProcessEnv) => {
    const command = process.execPath
    const child = await startProcess({ name, command, args: [script], env: { ...env, ...own }, ready: 'message' })
    closers.add(name, () => child.stop(), 30_000)
    return child
  }
  const app = (name: string) => resolve('apps', name, 'dist/main.js')
  const server = await start('server', app('server'), {})
  const startWorker: BenchStack['startWorker'] = ({ kind = 'ssh', places = 200, processes = 1 } = {}) =>
    start('worker', kind === 'ssh' ? app('worker') : benchScript('noop-worker'), {
      MUSTER_WORKER_CONCURRENCY: String(places),
      MUSTER_WORKER_PROCESSES: String(processes),
    })
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
  const runJob: BenchStack['runJob'] = async (request) => {
    let job = OPERATIONS.submit_job.output.parse((await timed('POST', '/v1/jobs', request)).body)
    while (job.ended_at === null) {
      const { body } = await timed('GET', `/v1/jobs/${job.job_id}?wait_s=${WAIT_S}`)
      job = OPERATIONS.get_job.output.parse(body)
    }
    if (job.state !== 'succeeded') throw new Error(`a job ended ${job.state}: ${JSON.stringify(job.counts)}`)
    return job
  }
  const redis = new Redis(redisServer.url)
  closers.add('redis client', () => redis.disconnect())
  const costs = async (workers: readonly RunningProcess[]) => ({
    worker: (await Promise.all(workers.map(({ pid }) => treeCpuMs(pid)))).reduce((sum, ms) => sum + ms, 0),
    server: await treeCpuMs(server.pid),
    redis: await redisCpuMs(redis),
  })
  const measure: BenchStack['measure'] = async (workers, work) => {
    const before = await costs(workers)
    const startedMs = performance.now()
    await work()
    const wallMs = performance.now() - startedMs
    const after = await costs(workers)
    const cpu = {
      worker: after.worker - before.worker,
      server: after.server - before.server,
      redis: after.redis - before.redis,
    }
    return { wallMs, cpu }
  }
  return { env, url, key, serverPid: server.pid, redis, startWorker, measure, runJob, timed }
}

/** CPU time of Redis so far, user and system, with its children that rewrote the append-only file; in milliseconds. */
export async function redisCpuMs(redis: Redis): Promise<number> {
  const info = await redis.info('cpu')
  const seconds = [...info.matchAll(/^used_cpu_(?:user|sys)(?:_children)?:([\d.]+)/gm)]
  return seconds.reduce((sum, [, value]) => sum + Number(value), 0) * 1_000
}
