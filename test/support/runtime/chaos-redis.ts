/**
 * The Redis of a chaos run: a process of its own with a log of its own, killed and started again on the same port.
 *
 * With `always`, Redis answers after the write is on disk, so a crash can only leave a torn write behind: half a
 * command that nobody was told of. That is what `tear` leaves. With `relaxed` it cuts off the end of the log, as a
 * power failure does; then answers were given that are forgotten.
 */
import { appendFile, mkdir, readdir, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, type RunningProcess, startProcess } from '@muster/runtime'
import { Supervised } from './supervised.ts'

/** A running Redis. */
export type ChaosRedis = {
  readonly port: number
  readonly process: Supervised
  /** Spoils the end of its log. Only while it is not running. */
  tear(bytes: number): Promise<void>
}

/** A command of which the first bytes arrived. */
const TORN = Buffer.from(`*3\r\n$3\r\nSET\r\n$9\r\ntorn:torn\r\n$1000\r\n${'x'.repeat(1_000)}`)

/** Starts it in a directory that it makes. */
export async function startChaosRedis(options: {
  readonly dir: string
  readonly path: string | undefined
  /** What else is in its environment. */
  readonly env?: Record<string, string>
  readonly durability: 'always' | 'relaxed'
  readonly say: (line: string) => void
}): Promise<ChaosRedis> {
  const { dir, path, env, durability, say } = options
  await mkdir(dir, { recursive: true })
  const port = await freePort()
  const args = redisArguments({ dir, port, durability })
  const start = (): Promise<RunningProcess> =>
    startProcess({
      name: 'redis',
      command: 'redis-server',
      args,
      env: { PATH: path, ...env },
      ready: /Ready to accept connections/,
      diesWithParent: true,
    })
  const supervised = new Supervised('redis', start, say)
  await supervised.up()
  const tear = async (bytes: number) => {
    const file = await newestLog(join(dir, 'appendonlydir'))
    if (durability === 'always') await appendFile(file, TORN.subarray(0, Math.min(bytes, TORN.length - 1)))
    else await truncate(file, Math.max(0, (await stat(file)).size - bytes * 50))
  }
  return { port, process: supervised, tear }
}

/** The command line of redis-server for data in this directory. */
export function redisArguments(options: { dir: string; port: number; durability: 'always' | 'relaxed' }): string[] {
  const settings = {
    port: String(options.port),
    bind: '127.0.0.1',
    dir: options.dir,
    save: '',
    appendonly: 'yes',
    appendfsync: options.durability === 'always' ? 'always' : 'everysec',
    'aof-load-truncated': 'yes',
    'maxmemory-policy': 'noeviction',
  }
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
}

async function newestLog(dir: string): Promise<string> {
  const numbered = (await readdir(dir)).flatMap((name) => {
    const [, number] = /\.(\d+)\.incr\.aof$/.exec(name) ?? []
    return number === undefined ? [] : [{ name, number: Number(number) }]
  })
  const newest = numbered.toSorted((a, b) => b.number - a.number).at(0)
  if (newest === undefined) throw new Error(`Redis keeps no log in ${dir}`)
  return join(dir, newest.name)
}
