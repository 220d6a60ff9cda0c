import { getEventListeners, once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, startProcess, startRedis } from '@muster/runtime'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findProgram } from '../../../libs/runtime/src/process/system-package.ts'
import { pingRedis, redisAddress } from '../../../libs/runtime/src/redis/redis-ping.ts'
import type { RedisServer, StartRedisOptions } from '../../../libs/runtime/src/redis/redis-server.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'

const OWNER = fileURLToPath(new URL('fixtures/redis-owner.mjs', import.meta.url))

let dataDir: string
const closing: (() => Promise<unknown>)[] = []
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'redis-server-'))
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await rm(dataDir, { recursive: true, force: true })
})

async function start(options: Partial<StartRedisOptions> = {}): Promise<RedisServer> {
  const env = { PATH: process.env.PATH }
  const redis = await startRedis({ dataDir, allowInstall: false, env, log: () => undefined, ...options })
  closing.push(redis.close)
  return redis
}

function connect(url: string): Redis {
  const client = new Redis(url, { retryStrategy: () => null })
  // A connection that ends with its server, or is refused, is reported by the command that needs it.
  client.on('error', () => undefined)
  closing.push(async () => client.disconnect())
  return client
}

async function setting(client: Redis, name: string): Promise<string | undefined> {
  const [, value] = await client.config('GET', name)
  return typeof value === 'string' ? value : undefined
}

async function pidOf(url: string): Promise<number> {
  return Number(/process_id:(\d+)/.exec(await connect(url).info('server'))?.[1])
}

/**
 * Redis and the shell that watches it. Redis writes its title over its own environment, so only the shell shows what it
 * was given.
 */
async function familyOf(pid: number): Promise<number[]> {
  const parent = Number(/^PPid:\s*(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1])
  expect(await readFile(`/proc/${parent}/cmdline`, 'utf8')).toContain('/bin/sh')
  return [pid, parent]
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** A directory for a PATH that holds links to these programs and no others. */
async function pathWith(programs: Record<string, string>): Promise<string> {
  const directory = await mkdtemp(join(dataDir, 'path-'))
  for (const [name, target] of Object.entries(programs)) await symlink(target, join(directory, name))
  return directory
}

describe('the embedded Redis', () => {
  it('answers on loopback and writes everything to disk before it acknowledges', async () => {
    const redis = await start()
    expect(redis.source).toBe('redis-server')
    expect(await pingRedis(redis.url, 2_000)).toEqual({ state: 'ready', detail: expect.any(String) })
    const client = connect(redis.url)
    expect(await setting(client, 'appendonly')).toBe('yes')
    expect(await setting(client, 'appendfsync')).toBe('always')
    expect(await setting(client, 'maxmemory-policy')).toBe('noeviction')
    expect(await setting(client, 'save')).toBe('')
    expect(await setting(client, 'bind')).toBe('127.0.0.1')
    expect(await setting(client, 'protected-mode')).toBe('yes')
  })

  it('lets nobody in without the password, and shows the password nowhere', async () => {
    const lines: string[] = []
    const redis = await start({ log: (line) => lines.push(line) })
    const { port, password } = new URL(redis.url)
    expect(password.length).toBeGreaterThanOrEqual(32)
    expect(await pingRedis(`redis://127.0.0.1:${port}`, 2_000)).toMatchObject({ state: 'denied' })
    expect(await pingRedis(`redis://:wrong@127.0.0.1:${port}`, 2_000)).toMatchObject({ state: 'denied' })
    expect(lines.join('')).toContain(redisAddress(redis.url))
    expect(lines.join('')).not.toContain(password)
    for (const pid of await familyOf(await pidOf(redis.url))) {
      expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(password)
      expect(await readFile(`/proc/${pid}/environ`, 'utf8')).not.toContain(password)
    }
    const directory = join(dataDir, 'redis')
    expect((await stat(directory)).mode & 0o777).toBe(0o700)
    expect((await stat(join(directory, 'endpoint.json'))).mode & 0o777).toBe(0o600)
  })

  it('passes none of our other variables on', async () => {
    const redis = await start({ env: { PATH: process.env.PATH, API_TOKEN: 'hunter2' } })
    for (const pid of await familyOf(await pidOf(redis.url))) {
      expect(await readFile(`/proc/${pid}/environ`, 'utf8')).not.toContain('hunter2')
    }
  })

  it('keeps its data over a restart', async () => {
    const first = await start()
    await connect(first.url).set('kept', 'yes')
    await first.close()
    const second = await start()
    expect(await connect(second.url).get('kept')).toBe('yes')
  })

  it('keeps acknowledged data when Redis itself is killed, and reports that it ended', async () => {
    const first = await start()
    await connect(first.url).set('kept', 'yes')
    process.kill(await pidOf(first.url), 'SIGKILL')
    expect((await first.failed).message).toMatch(
      /ended by itself.*Its last lines:(?:.*\n)*.*Ready to accept connections/,
    )
    await first.close()
    const second = await start()
    expect(await connect(second.url).get('kept')).toBe('yes')
  })

  it('is not asked when the signal has already aborted, and leaves no listener on it', async () => {
    const { url } = await start()
    const signal = AbortSignal.abort()
    expect(await pingRedis(url, 2_000, signal)).toEqual({ state: 'silent', detail: 'given up' })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('is gone after close, which may be called again', async () => {
    const redis = await start()
    const pid = await pidOf(redis.url)
    await Promise.all([redis.close(), redis.close()])
    expect(isAlive(pid)).toBe(false)
    expect(await pingRedis(redis.url, 2_000)).toMatchObject({ state: 'unreachable' })
    expect(await readdir(join(dataDir, 'redis'))).not.toContain('endpoint.json')
  })

  it('refuses a data directory that is in use, naming the process, and does that Redis no harm', async () => {
    const redis = await start()
    const again = start()
    await expect(again).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining(`${dataDir}/redis is already in use by process ${process.pid}`),
    })
    expect(await connect(redis.url).ping()).toBe('PONG')
  })

  it('lets one of two starts at the same moment win', async () => {
    const outcomes = await Promise.allSettled([start(), start()])
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    const [lost] = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(lost?.reason).toMatchObject({ code: 'invalid_config', message: expect.stringContaining('already in use') })
  })

  it('ends when its owner is killed, and the data directory can be used at once', async () => {
    const owner = await startProcess({
      name: 'owner',
      command: process.execPath,
      args: [OWNER, dataDir],
      env: { PATH: process.env.PATH },
      ready: /^redis:/,
    })
    closing.push(owner.stop)
    const url = String(owner.readyValue)
    const client = connect(url)
    await client.set('kept', 'yes')
    const pid = await pidOf(url)
    process.kill(owner.pid, 'SIGKILL')
    await owner.exited
    const next = await start()
    expect(isAlive(pid)).toBe(false)
    expect(await connect(next.url).get('kept')).toBe('yes')
  })

  it('is not misled by what a crash left behind', async () => {
    await (await start()).close()
    const endpoint = join(dataDir, 'redis', 'endpoint.json')
    await writeFile(endpoint, JSON.stringify({ url: `redis://:x@127.0.0.1:${await freePort()}`, pid: process.pid }))
    await (await start()).close()
    await writeFile(endpoint, '{"url":"redis:')
    expect((await start()).source).toBe('redis-server')
  })

  it('uses the port it is told, and says so when that one is taken', async () => {
    const taken = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(taken, 'listening')
    closing.push(async () => taken.close())
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await expect(start({ port })).rejects.toThrow(/did not come up on port \d+(?:.*\n)*.*Address already in use/)
    const free = await freePort()
    expect(redisAddress((await start({ port: free })).url)).toBe(`127.0.0.1:${free}`)
  })

  it('shows the last lines of a Redis that gives up', async () => {
    await (await start()).close()
    const directory = join(dataDir, 'redis', 'appendonlydir')
    for (const name of await readdir(directory)) {
      if (name.endsWith('.manifest')) await writeFile(join(directory, name), 'nonsense\n')
    }
    await expect(start()).rejects.toThrow(/did not come up(?:.*\n)*.*Invalid AOF manifest file format/)
  })

  it('takes valkey-server when there is no redis-server', async () => {
    const program = await findProgram('redis-server', { PATH: process.env.PATH })
    expect(program).toBeDefined()
    // Valkey reads the same configuration; Redis under its name shows that it is found and started.
    const path = await pathWith({ 'valkey-server': program ?? '' })
    expect((await start({ env: { PATH: path } })).source).toBe('valkey-server')
  })
})

/**
 * Stands in for the Docker client, as no daemon is to be had here: it takes the same command line and configuration,
 * and runs a real Redis on the published port.
 */
const DOCKER_STAND_IN = `#!/bin/sh
PATH=$PATH:/usr/local/bin:/usr/bin:/bin
echo "$*" >> "$HOME/docker.log"
[ "$1" = run ] || exit 0
for word; do
  case $word in
    127.0.0.1:*:6379) port=\${word#127.0.0.1:} port=\${port%:6379} ;;
    *:/data) cd "\${word%:/data}" ;;
  esac
done
sed "s/^port 6379/port $port/; s/^bind 0.0.0.0/bind 127.0.0.1/" > "$HOME/redis.conf"
exec redis-server "$HOME/redis.conf"
`

describe('without a Redis on the PATH', () => {
  it('a Docker daemon that answers runs it, published on loopback only and removed on close', async () => {
    const path = await mkdtemp(join(dataDir, 'path-'))
    await writeFile(join(path, 'docker'), DOCKER_STAND_IN, { mode: 0o755 })
    const redis = await start({ env: { PATH: path, HOME: dataDir } })
    expect(redis.source).toBe('docker')
    await connect(redis.url).set('kept', 'yes')
    await redis.close()
    const { port } = new URL(redis.url)
    const log = await readFile(join(dataDir, 'docker.log'), 'utf8')
    expect(log).toContain(`--publish 127.0.0.1:${port}:6379 --volume ${dataDir}/redis:/data`)
    const [, name] = /run --rm --interactive --name (muster-redis-\w+)/.exec(log) ?? []
    expect(log).toMatch(new RegExp(`rm --force ${name}\\n$`))
    expect(log).not.toContain(new URL(redis.url).password)
  })

  it('says which command installs it when it may not do so itself', async () => {
    const aptGet = await findProgram('apt-get', { PATH: process.env.PATH })
    const path = await pathWith(aptGet === undefined ? {} : { 'apt-get': aptGet })
    await expect(start({ env: { PATH: path } })).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringMatching(
        /^Muster needs Redis\. There is no redis-server .*\. Install it: .*redis-server.*\nOr set REDIS_URL/,
      ),
    })
  })
})

describe('a configured Redis', () => {
  it('is used as it is, and left alone by close', async () => {
    const redis = await start({ url: sharedRedisUrl() })
    expect(redis).toMatchObject({ url: sharedRedisUrl(), source: 'configured' })
    await redis.close()
    expect(await connect(sharedRedisUrl()).ping()).toBe('PONG')
    expect(await readdir(dataDir)).toEqual([])
  })

  it('is named without its password when the password is wrong', async () => {
    const address = redisAddress(sharedRedisUrl())
    const starting = start({ url: `redis://someone:hunter2@${address}` })
    const error: unknown = await starting.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'invalid_config', message: expect.stringContaining(address) })
    expect(String(error)).not.toMatch(/hunter2|someone/)
  })

  it('is named without its password when nobody answers', async () => {
    const port = await freePort()
    const error: unknown = await start({ url: `redis://:hunter2@127.0.0.1:${port}`, answerTimeoutMs: 100 }).catch(
      (reason: unknown) => reason,
    )
    expect(error).toMatchObject({ code: 'ledger_unavailable', message: expect.stringContaining(`127.0.0.1:${port}`) })
    expect(String(error)).not.toContain('hunter2')
  })

  it('is refused by the form of its URL, without showing it', async () => {
    const error: unknown = await start({ url: 'http://:hunter2@127.0.0.1' }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining('redis://[user:password@]host'),
    })
    expect(String(error)).not.toContain('hunter2')
  })
})
