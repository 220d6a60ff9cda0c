/**
 * A whole Muster for a test: one server and some workers as processes of their own, the shared test Redis under a
 * prefix of its own, and an inventory. Everything ends with the test.
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { isTerminalJob, type JobReport, OPERATIONS, type Request } from '@muster/contract'
import { type RunningProcess, startProcess } from '@muster/runtime'
import { makeKeys, SERVER_KEYS, WORKER_KEYS } from '@muster/trust'
import { onTestFinished } from 'vitest'
import { sharedRedisUrl } from '../runtime/shared-redis.ts'
import { secretDirs } from './fleet-files.ts'

/** A running Muster. */
export type Stack = {
  readonly url: string
  readonly apiKey: string
  readonly dataDir: string
  readonly env: Record<string, string | undefined>
  readonly workers: RunningProcess[]
  /** Starts one more worker; `env` is for it alone. */
  startWorker(env?: Record<string, string>): Promise<RunningProcess>
  /** Stops the server and starts another, `env` for it alone. The address stays when the port was given. */
  restartServer(env?: Record<string, string>): Promise<void>
  /** One request with the key; the answer's body as it is. */
  ask(
    method: 'GET' | 'POST',
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: unknown; headers: Headers }>
  /** Submits a job; answers without waiting for it. */
  submit(request: Request<'submit_job'>): Promise<JobReport>
  /** Waits until the job has ended. */
  ended(jobId: string): Promise<JobReport>
}

/** The environment of a Muster whose server signs no work, and whose workers check none. */
export const UNSIGNED = { MUSTER_SERVER_KEY_FILE: '', MUSTER_SERVER_PUBLIC_KEY_FILE: '' }

/** Starts it. `inventory` is the text of the file, `knownHosts` that of the host keys to trust. */
export async function startStack(options: {
  inventory: string
  knownHosts: string
  /** A Redis of the test's own; without, the one that all tests share. */
  redisUrl?: string
  workers?: number
  env?: Record<string, string>
  /** For the server alone. */
  serverEnv?: Record<string, string>
  /** The program and its arguments by which workers are started, such as one that gives them other system files. */
  workerBy?: readonly string[]
}): Promise<Stack> {
  const dataDir = await mkdtemp(join(tmpdir(), 'muster-e2e-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  await writeFile(join(dataDir, 'inventory.yaml'), options.inventory)
  await writeFile(join(dataDir, 'known_hosts'), options.knownHosts)
  const env = {
    PATH: process.env.PATH,
    HOME: dataDir,
    REDIS_URL: options.redisUrl ?? sharedRedisUrl(),
    MUSTER_PREFIX: `test-${randomUUID()}`,
    MUSTER_CONFIG_DIR: dataDir,
    MUSTER_DATA_DIR: dataDir,
    MUSTER_INVENTORY: join(dataDir, 'inventory.yaml'),
    MUSTER_KNOWN_HOSTS: join(dataDir, 'known_hosts'),
    MUSTER_SECRET_DIRS: secretDirs(),
    MUSTER_PORT: '0',
    MUSTER_RATE_LIMIT_PER_MIN: '0',
    MUSTER_SUBMIT_LIMIT_PER_MIN: '0',
    MUSTER_SHUTDOWN_GRACE_S: '1',
    MUSTER_WORKER_PROCESSES: '1',
    LOG_LEVEL: 'warn',
    ...options.env,
  }
  const ofWorkers = await makeKeys(WORKER_KEYS, dataDir)
  const ofServers = await makeKeys(SERVER_KEYS, dataDir)
  const keysOf = (app: string): Record<string, string> =>
    app === 'worker'
      ? { MUSTER_WORKER_KEY_FILE: ofWorkers.privateFile, MUSTER_SERVER_PUBLIC_KEY_FILE: ofServers.publicFile }
      : { MUSTER_WORKER_PUBLIC_KEY_FILE: ofWorkers.publicFile, MUSTER_SERVER_KEY_FILE: ofServers.privateFile }
  const start = async (app: string, own: Record<string, string> = {}) => {
    const by = app === 'worker' ? (options.workerBy ?? []) : []
    const [command = '', ...args] = [...by, process.execPath, resolve('apps', app, 'dist/main.js')]
    const child = await startProcess({
      name: app,
      command,
      args,
      env: { ...keysOf(app), ...env, ...own },
      ready: 'message',
    })
    onTestFinished(() => child.stop())
    return child
  }
  let server = await start('server', options.serverEnv)
  const restartServer = async (own = options.serverEnv) => {
    await server.stop()
    server = await start('server', own)
  }
  const workers: RunningProcess[] = []
  const startWorker = async (own?: Record<string, string>) => {
    const worker = await start('worker', own)
    workers.push(worker)
    return worker
  }
  for (let i = 0; i < (options.workers ?? 1); i += 1) await startWorker()

  const { url }: { url: string } = JSON.parse(await readFile(join(dataDir, 'server.json'), 'utf8'))
  const apiKey = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim()
  const ask: Stack['ask'] = async (method, path, body) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(method === 'GET' ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    })
    return { status: response.status, body: await response.json(), headers: response.headers }
  }
  const report = (answer: { body: unknown }) => OPERATIONS.get_job.output.parse(answer.body)
  return {
    url,
    apiKey,
    dataDir,
    env,
    workers,
    startWorker,
    restartServer,
    ask,
    submit: async (request) => report(await ask('POST', '/v1/jobs', request)),
    ended: async (jobId) => {
      for (;;) {
        const job = report(await ask('GET', `/v1/jobs/${jobId}?wait_s=20`))
        if (isTerminalJob(job.state)) return job
      }
    },
  }
}
