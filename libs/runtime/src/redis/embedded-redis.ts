/**
 * A private Redis for one data directory: durable, on loopback, with a random password. It ends when we do.
 *
 * One process at a time may use a data directory. Two guards see to that: `endpoint.json` names the Redis in use, so
 * that a second start is refused with the owner's pid; and where flock(1) exists, Redis itself holds a kernel lock for
 * as long as it lives, which no crash can leave behind. It does not restart a Redis that dies.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { MusterError } from '@muster/contract'
import { z } from 'zod'
import type { Environment } from '../config/config.ts'
import { describeExit, type RunningProcess, startProcess } from '../process/child-process.ts'
import { freePort } from '../process/free-port.ts'
import { isAlive } from '../process/process-id.ts'
import { type PingAnswer, pingRedis, redisAddress, waitForRedis } from './redis-ping.ts'

/** Loading a large append-only file takes a while. */
const READY_TIMEOUT_MS = 30_000
/** An orderly end writes and syncs the append-only file. */
const STOP_TIMEOUT_MS = 10_000
const PING_TIMEOUT_MS = 2_000
/** How long the Redis of a killed process may take to end. */
const ENDING_MS = 5_000
const ENDING_LOOK_EVERY_MS = 50
/** A free port can be taken before Redis binds it. */
const PORT_TRIES = 5
/** EX_TEMPFAIL of sysexits.h: the exit status of the script below when another process holds the lock. */
const LOCKED_STATUS = 75

/** Runs a command under a lock on the working directory, which the command inherits; waits 5 s for it. */
const LOCK_SCRIPT = `
exec 9>lock
if command -v flock >/dev/null 2>&1; then
  tries=0
  until flock -n 9; do
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || exit ${LOCKED_STATUS}
    sleep 0.1
  done
fi
exec "$@"
`

/** How to run a Redis that reads its configuration from standard input. */
export interface RedisProgram {
  name: string
  /** The command line for this loopback port and data directory (absolute). */
  commandLine: (port: number, directory: string) => string[]
  /** The address and port that Redis binds, if not 127.0.0.1 and the loopback port: inside a container. */
  listen?: { address: string; port: number }
  /** Removes what a forced stop would leave behind. */
  cleanUp?: () => Promise<void>
}

/** An embedded Redis that answers. */
export interface EmbeddedRedis {
  /** With the password; treat it as a secret. */
  url: string
  /** Resolves with an error if Redis ends before it is closed. Never rejects, and may never settle. */
  failed: Promise<MusterError>
  /** Ends Redis in order and frees the data directory. May be called again. */
  close: () => Promise<void>
}

/** Another process uses the data directory, is about to, or has not quite let go of it. */
export class DataDirInUse extends MusterError {}

/** Options of {@link launchRedis}. */
export interface LaunchOptions {
  program: RedisProgram
  /** Absolute. Redis uses the directory `redis` in it, made with mode 0700. */
  dataDir: string
  /** Default: a free one. */
  port?: number
  env: Environment
}

/**
 * Starts Redis; resolves when it has loaded its data.
 * @throws {DataDirInUse} `invalid_config` when the data directory is in use
 * @throws {MusterError} `internal`, with the last lines of Redis, when it does not start
 */
export async function launchRedis({ program, dataDir, port, env }: LaunchOptions): Promise<EmbeddedRedis> {
  const directory = join(dataDir, 'redis')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await chmod(directory, 0o700) // mkdir does not change the mode of an existing directory.
  await refuseIfInUse(directory)

  const triesMax = port === undefined ? PORT_TRIES : 1
  for (let tries = 1; ; tries += 1) {
    const started = await tryPort(program, directory, port ?? (await freePort()), env)
    if ('child' in started) return await own(program, directory, started)
    const isPortTaken = /address already in use|port is already allocated/i.test(started.error.message)
    if (!isPortTaken || tries >= triesMax) throw started.error
  }
}

type Started = { child: RunningProcess; url: string } | { error: MusterError }

/** Starts Redis on this port. A Redis that does not come up is stopped; its error is a value, to try another port. */
async function tryPort(program: RedisProgram, directory: string, port: number, env: Environment): Promise<Started> {
  const password = randomBytes(24).toString('base64url')
  const url = `redis://:${password}@127.0.0.1:${port}`
  const child = await startProcess({
    name: program.name,
    command: '/bin/sh',
    args: ['-c', LOCK_SCRIPT, 'sh', ...program.commandLine(port, directory)],
    env: neededBy(env),
    cwd: directory,
    // On standard input, so that the password is on no command line and in no file.
    stdinText: settings(program.listen ?? { address: '127.0.0.1', port }, password),
    ready: 'spawned',
    diesWithParent: true,
    stopTimeoutMs: STOP_TIMEOUT_MS,
  })
  const ended = new AbortController()
  const exited = child.exited.finally(() => ended.abort())
  // Once our Redis has ended, do not wait for another program on this port, which may never answer.
  const answer = await waitForRedis(url, READY_TIMEOUT_MS, ended.signal)
  if (answer.state === 'ready') return { child, url }
  await child.stop()
  await program.cleanUp?.()
  const exit = await exited
  if (exit.code === LOCKED_STATUS) return { error: inUse(directory, 'by another process, which holds the lock') }
  const what = `did not come up on port ${port} (${answer.detail})`
  return { error: redisFailure(program, directory, what, child.lastLines()) }
}

function redisFailure(program: RedisProgram, directory: string, what: string, lines: readonly string[]): MusterError {
  const shown = lines.map((line) => `\n  ${line}`).join('')
  return new MusterError('internal', `${program.name} in ${directory} ${what}. Its last lines:${shown}`)
}

async function own(
  program: RedisProgram,
  directory: string,
  { child, url }: { child: RunningProcess; url: string },
): Promise<EmbeddedRedis> {
  let closed: Promise<void> | undefined
  const failed = new Promise<MusterError>((resolve) => {
    child.exited.then(
      (exit) => {
        if (closed !== undefined) return
        resolve(redisFailure(program, directory, `ended by itself, ${describeExit(exit)}`, child.lastLines()))
      },
      () => undefined, // exited never rejects.
    )
  })
  const close = async (): Promise<void> => {
    await child.stop()
    await program.cleanUp?.()
    await rm(endpointFile(directory), { force: true })
  }
  const closeOnce = (): Promise<void> => {
    closed ??= close()
    return closed
  }
  try {
    await writeEndpoint(directory, { url, pid: process.pid })
  } catch (error) {
    await closeOnce()
    throw error
  }
  return { url, failed, close: closeOnce }
}

/** The configuration: all that Redis acknowledges is on disk (`appendfsync always`), and nothing is ever evicted. */
function settings(listen: { address: string; port: number }, password: string): string {
  const lines = [
    `bind ${listen.address}`,
    `port ${listen.port}`,
    'protected-mode yes',
    `requirepass ${password}`,
    'dir ./',
    'appendonly yes',
    'appendfsync always',
    'save ""',
    'maxmemory-policy noeviction',
    'daemonize no',
    'logfile ""',
  ]
  return `${lines.join('\n')}\n`
}

/** The part of our environment that Redis needs: other variables may be secrets. */
function neededBy(env: Environment): Environment {
  const needed = Object.entries(env).filter(
    ([name]) => name === 'PATH' || name === 'HOME' || name.startsWith('DOCKER_'),
  )
  return Object.fromEntries(needed)
}

/** Which Redis uses the data directory. `pid` is the process that started it. */
const Endpoint = z.object({ url: z.string(), pid: z.number().int() })
type Endpoint = z.infer<typeof Endpoint>

function endpointFile(directory: string): string {
  return join(directory, 'endpoint.json')
}

/** Readable by its owner only: the URL holds the password. */
async function writeEndpoint(directory: string, endpoint: Endpoint): Promise<void> {
  const temporary = `${endpointFile(directory)}.${process.pid}`
  await writeFile(temporary, `${JSON.stringify(endpoint)}\n`, { mode: 0o600 })
  await rename(temporary, endpointFile(directory))
}

async function readEndpoint(directory: string): Promise<Endpoint | undefined> {
  try {
    return Endpoint.parse(JSON.parse(await readFile(endpointFile(directory), 'utf8')))
  } catch {
    // There is none, or a crash cut it short: then the lock and the port decide.
    return undefined
  }
}

async function refuseIfInUse(directory: string): Promise<void> {
  const endpoint = await readEndpoint(directory)
  if (endpoint === undefined) return
  const { url, pid } = endpoint
  const until = performance.now() + ENDING_MS
  while (isInUse(await pingRedis(url, PING_TIMEOUT_MS))) {
    if (isAlive(pid) || performance.now() > until) {
      throw inUse(directory, `by process ${pid}, whose Redis answers at ${redisAddress(url)}`)
    }
    await delay(ENDING_LOOK_EVERY_MS)
  }
}

/** Whether our Redis answers. Another password or protocol means that another program took the port after a crash. */
function isInUse({ state }: PingAnswer): boolean {
  return state === 'ready' || state === 'loading' || state === 'silent'
}

function inUse(directory: string, by: string): DataDirInUse {
  const advice = 'Stop that process, choose another data directory, or use its Redis by setting REDIS_URL.'
  return new DataDirInUse('invalid_config', `The data directory ${directory} is already in use ${by}. ${advice}`)
}
