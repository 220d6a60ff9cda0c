/**
 * Finds or starts Redis, so that a fresh system needs no preparation.
 *
 * In this order: the configured Redis; `redis-server` or `valkey-server` from the PATH; a container, if a Docker daemon
 * answers; the system's package, installed if that is allowed and can be done unattended. What it starts is private to
 * one data directory (embedded-redis.ts). It is not a client, and does not change a configured Redis.
 */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { MusterError } from '@muster/contract'
import type { Environment } from '../config/config.ts'
import { findProgram, installSystemPackage, runToEnd } from '../process/system-package.ts'
import { launchRedis, type RedisProgram } from './embedded-redis.ts'
import { redisAddress, waitForRedis } from './redis-ping.ts'

/** A configured Redis may be starting at the same time as this process. */
const ANSWER_TIMEOUT_MS = 10_000
const DOCKER_TIMEOUT_MS = 3_000
const DOCKER_PULL_TIMEOUT_MS = 300_000
const DOCKER_IMAGE = 'redis:7'

/** Options of {@link startRedis}. */
export interface StartRedisOptions {
  /**
   * The configured Redis: `redis://[user:password@]host[:port][/db]`, or `rediss:`. Absent or empty: one is started.
   */
  url?: string
  /** How long to wait for a configured Redis. Default 10,000. */
  answerTimeoutMs?: number
  /** An embedded Redis keeps its data in the directory `redis` below this one, which is made if missing. */
  dataDir: string
  /** The port of an embedded Redis. Default: a free one. */
  port?: number
  /** Whether a missing Redis may be installed with the system's package manager. */
  allowInstall: boolean
  /** Its PATH is searched for programs; the Docker client gets Docker's variables. */
  env: Environment
  /** Gets lines about what is used and what is going to be installed; never the password. */
  log: (line: string) => void
}

/** A Redis that answers. */
export interface RedisServer {
  /** With the password, if there is one; treat it as a secret. */
  url: string
  source: 'configured' | 'redis-server' | 'valkey-server' | 'docker'
  /** Resolves with an error if an embedded Redis ends before it is closed. Never rejects, and may never settle. */
  failed: Promise<MusterError>
  /** Ends an embedded Redis; leaves a configured one alone. May be called again. */
  close: () => Promise<void>
}

/**
 * A Redis that is ready for use, found in the order above.
 * @throws {MusterError} `ledger_unavailable` when a configured Redis does not answer; `invalid_config` when its URL or
 *   password is wrong, when the data directory is in use, or when there is no Redis (with the command that installs
 *   one); `internal` when an embedded one does not come up.
 */
export async function startRedis(options: StartRedisOptions): Promise<RedisServer> {
  const { url, answerTimeoutMs = ANSWER_TIMEOUT_MS, dataDir, port, env, log } = options
  if (url !== undefined && url !== '') return await useConfigured(url, answerTimeoutMs, log)
  const { source, program } = await chooseProgram(options)
  const embedded = await launchRedis({ program, dataDir: resolve(dataDir), port, env })
  log(`Redis: ${program.name} on ${redisAddress(embedded.url)}, data in ${resolve(dataDir, 'redis')}`)
  return { ...embedded, source }
}

async function useConfigured(url: string, timeoutMs: number, log: (line: string) => void): Promise<RedisServer> {
  const address = redisAddress(url)
  const answer = await waitForRedis(url, timeoutMs)
  if (answer.state === 'denied') {
    throw new MusterError(
      'invalid_config',
      `Redis at ${address} does not accept the user or password of REDIS_URL: ${answer.detail}`,
    )
  }
  if (answer.state !== 'ready') {
    const message = `Redis at ${address} (REDIS_URL) is not ready: ${answer.detail}.`
    throw new MusterError('ledger_unavailable', `${message} Start it, or unset REDIS_URL to use an embedded one.`)
  }
  log(`Redis: the configured one at ${address}`)
  return { url, source: 'configured', failed: new Promise(() => undefined), close: async () => undefined }
}

interface Choice {
  source: 'redis-server' | 'valkey-server' | 'docker'
  program: RedisProgram
}

async function chooseProgram({ allowInstall, env, log }: StartRedisOptions): Promise<Choice> {
  for (const source of ['redis-server', 'valkey-server'] as const) {
    const path = await findProgram(source, env)
    if (path !== undefined) return { source, program: local(path) }
  }
  const docker = await findDocker(env)
  if (docker !== undefined) return { source: 'docker', program: await container(docker, env, log) }
  const path = await installSystemPackage({
    name: 'redis-server',
    binary: 'redis-server',
    service: 'redis-server.service',
    formula: 'redis',
    env,
    allowInstall,
    log,
  }).catch((error: unknown) => {
    if (!(error instanceof MusterError)) throw error
    const advice = 'Or set REDIS_URL to a Redis that is already running.'
    throw new MusterError(error.code, `Muster needs Redis. ${error.message}\n${advice}`, { cause: error })
  })
  return { source: 'redis-server', program: local(path) }
}

function local(path: string): RedisProgram {
  return { name: path, commandLine: () => [path, '-'] }
}

/** The path of a Docker client whose daemon answers: a client is often installed where no daemon runs. */
async function findDocker(env: Environment): Promise<string | undefined> {
  const command = await findProgram('docker', env)
  if (command === undefined) return undefined
  const info = await runToEnd({ command, args: ['info'], env, timeoutMs: DOCKER_TIMEOUT_MS })
  return info.isOk ? command : undefined
}

async function container(command: string, env: Environment, log: (line: string) => void): Promise<RedisProgram> {
  const docker = (args: string[], timeoutMs: number) => runToEnd({ command, args, env, timeoutMs })
  if (!(await docker(['image', 'inspect', DOCKER_IMAGE], DOCKER_TIMEOUT_MS)).isOk) {
    log(`Redis: pulling the image ${DOCKER_IMAGE}`)
    const pulled = await docker(['pull', '--quiet', DOCKER_IMAGE], DOCKER_PULL_TIMEOUT_MS)
    if (!pulled.isOk) throw new MusterError('internal', `Docker could not pull ${DOCKER_IMAGE}:\n${pulled.text}`)
  }
  const name = `muster-redis-${randomBytes(4).toString('hex')}`
  // As ourselves, so that the data stays ours to read and remove.
  const user = process.getuid === undefined ? [] : ['--user', `${process.getuid()}:${process.getgid?.() ?? 0}`]
  return {
    name: `docker container ${name}`,
    listen: { address: '0.0.0.0', port: 6379 },
    commandLine: (port, directory) => {
      const mounts = ['--publish', `127.0.0.1:${port}:6379`, '--volume', `${directory}:/data`, '--workdir', '/data']
      const options = ['--rm', '--interactive', '--name', name, ...user, ...mounts]
      return [command, 'run', ...options, DOCKER_IMAGE, 'redis-server', '-']
    },
    cleanUp: async () => {
      // After an orderly stop the container is gone already, so a failure does not matter.
      await docker(['rm', '--force', name], DOCKER_TIMEOUT_MS)
    },
  }
}
