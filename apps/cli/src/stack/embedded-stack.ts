/**
 * Runs Redis, one server and some workers as processes on this machine. A worker that dies is started again; when Redis
 * or the server dies, everything ends.
 */

import { fileURLToPath } from 'node:url'
import {
  describeExit,
  type Environment,
  keepRunning,
  type Life,
  makeDataDirectory,
  readServerFile,
  startProcess,
  startRedis,
  toolEnvironment,
} from '@muster/runtime'
import { ensureKeys, SERVER_KEYS, WORKER_KEYS } from '@muster/trust'
import { serverEnvironment, workerEnvironment } from './part-environment.ts'

const SERVER = fileURLToPath(new URL('../../../server/dist/main.js', import.meta.url))
const WORKER = fileURLToPath(new URL('../../../worker/dist/main.js', import.meta.url))

/** How long the server may take to start, and take over API keys of an earlier version. */
const ADOPT_MS = 60_000

/** The options of the stack. */
export type StackOptions = {
  readonly life: Life
  readonly env: Environment
  readonly redisUrl: string | undefined
  readonly sshServers: string | undefined
  readonly dataDir: string
  readonly workerProcesses: number
  /** How long a server or worker may take to stop. */
  readonly stopTimeoutMs: number
  readonly allowInstall: boolean
  readonly say: (line: string) => void
}

/**
 * Starts everything. Resolves with the address of the server when all is up.
 * @throws {MusterError} what `startRedis` throws; `internal` when the server or a worker does not come up
 */
export async function startStack(options: StackOptions): Promise<{ url: string }> {
  const { life, dataDir, say, env } = options
  const { redisUrl: url, allowInstall } = options
  await makeDataDirectory(dataDir)
  const redis = await startRedis({ url, dataDir, allowInstall, env: toolEnvironment(env), log: say })
  life.closers.add('Redis', () => redis.close(), 15_000)
  redis.failed.then(life.fail, life.fail)

  const own = { REDIS_URL: redis.url, MUSTER_DATA_DIR: dataDir, MUSTER_WORKER_PROCESSES: '1' }
  const childEnv = given(withOwnDefaults(env), { ...own, ...(await keyFiles(env, dataDir)) })
  const start = (name: string, script: string, partEnv: Environment) =>
    startProcess({
      name,
      command: process.execPath,
      args: [script, '--env-only'],
      env: partEnv,
      ready: 'message',
      stopTimeoutMs: options.stopTimeoutMs,
      log: say,
      signal: life.ending,
    })
  const server = await start('server', SERVER, serverEnvironment(childEnv, options.sshServers))
  life.closers.add('server', () => server.stop(), options.stopTimeoutMs + 1_000)
  server.exited.then((exit) => {
    if (!life.ending.aborted) life.fail(new Error(`the server ended: ${describeExit(exit)}`))
  }, life.fail)

  // Each worker is told to be one process: this process keeps as many of them as are wanted.
  await keepRunning({
    name: 'worker',
    count: options.workerProcesses,
    life,
    say,
    start: () => start('worker', WORKER, workerEnvironment(childEnv)),
    stopTimeoutMs: options.stopTimeoutMs + 1_000,
  })
  return { url: (await readServerFile(dataDir)).url }
}

/** The keys of workers and of the server, made at the first start, unless the settings name some. */
async function keyFiles(env: Environment, dataDir: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  if (!env.MUSTER_WORKER_KEY_FILE && !env.MUSTER_WORKER_PUBLIC_KEY_FILE) {
    const { privateFile, publicFile } = await ensureKeys(WORKER_KEYS, dataDir)
    Object.assign(files, { MUSTER_WORKER_KEY_FILE: privateFile, MUSTER_WORKER_PUBLIC_KEY_FILE: publicFile })
  }
  if (!env.MUSTER_SERVER_KEY_FILE && !env.MUSTER_SERVER_PUBLIC_KEY_FILE) {
    const { privateFile, publicFile, isNew } = await ensureKeys(SERVER_KEYS, dataDir)
    Object.assign(files, { MUSTER_SERVER_KEY_FILE: privateFile, MUSTER_SERVER_PUBLIC_KEY_FILE: publicFile })
    // What is there now is from before there were such keys.
    if (isNew) files.MUSTER_ADOPT_KEYS_UNTIL = new Date(Date.now() + ADOPT_MS).toISOString()
  }
  return files
}

/**
 * On a stack that only this machine can reach, its person's requests may name the hosts that they have met before, and
 * log in there as ssh would.
 */
function withOwnDefaults(env: Environment): Environment {
  const isOwn = /^(localhost|127(\.\d+){3}|::1)$/.test(env.MUSTER_HOST || '127.0.0.1')
  const preset = isOwn ? { MUSTER_ADHOC_HOSTS: 'known_hosts', MUSTER_ADHOC_KEY_DIRS: '~/.ssh' } : {}
  const unset = Object.entries(preset).filter(([name]) => !env[name] && !env[`${name}_FILE`])
  return { ...env, ...Object.fromEntries(unset) }
}

/** The environment with these values; `NAME_FILE` variables for them are removed. */
function given(env: Environment, values: Record<string, string>): Environment {
  const files = new Set(Object.keys(values).map((name) => `${name}_FILE`))
  return { ...Object.fromEntries(Object.entries(env).filter(([name]) => !files.has(name))), ...values }
}
