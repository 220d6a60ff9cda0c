/** The faults are real: what is said to be cut, held up, torn or stopped is. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { startChaosRedis } from '../support/runtime/chaos-redis.ts'
import { FaultProxy } from '../support/runtime/fault-proxy.ts'

test('a proxy passes everything on, to the address it was called at', async () => {
  const { proxy } = await echoBehindProxy()
  const socket = await call(proxy, '127.0.9.7')
  socket.write('hello')
  expect(await nextText(socket)).toBe('127.0.9.7 hello')
})

test('a cut resets what is connected, and lets new connections in', async () => {
  const { proxy } = await echoBehindProxy()
  const socket = await call(proxy)
  proxy.cut()
  const [error] = await once(socket, 'error')
  expect(error).toMatchObject({ code: 'ECONNRESET' })
  const next = await call(proxy)
  next.write('again')
  expect(await nextText(next)).toContain('again')
})

test('of a lost reply only the beginning arrives, and the request was carried out', async () => {
  const { proxy, heard } = await echoBehindProxy()
  const socket = await call(proxy)
  proxy.loseNextReply(3)
  const text = nextText(socket)
  const end = once(socket, 'end')
  socket.write('do it')
  expect(await text).toBe('127')
  await end
  expect(heard).toEqual(['do it'])
})

test('while a link is stalled nothing passes, and afterwards everything does', async () => {
  const { proxy, heard } = await echoBehindProxy()
  const socket = await call(proxy)
  proxy.stall()
  socket.write('one ')
  await sleep(100)
  expect(heard).toEqual([])
  await call(proxy)
  expect(proxy.heldBack).toBe(1)
  const text = nextText(socket)
  proxy.resume()
  expect(await text).toContain('one ')
})

test('Redis comes back on its port with every answered write, without the torn one', async () => {
  const redis = await freshRedis('always')
  const client = clientOf(redis.port)
  for (let i = 0; i < 50; i += 1) await client.set(`key${i}`, i)
  await redis.process.restart('SIGKILL', 0, () => redis.tear(200))
  expect(await client.dbsize()).toBe(50)
  expect(await client.exists('torn:torn')).toBe(0)
  expect(await client.info('persistence')).toContain('aof_enabled:1')
})

test('with relaxed durability, answered writes are gone after a power failure', async () => {
  const redis = await freshRedis('relaxed')
  const client = clientOf(redis.port)
  for (let i = 0; i < 500; i += 1) await client.set(`key${i}`, i)
  await redis.process.restart('SIGKILL', 0, () => redis.tear(100))
  const left = await client.dbsize()
  expect(left).toBeGreaterThan(0)
  expect(left).toBeLessThan(500)
})

test('a stopped process answers nothing until it goes on', async () => {
  const redis = await freshRedis('always')
  const client = clientOf(redis.port)
  await client.ping()
  const frozen = redis.process.freeze(400)
  let isAnswered = false
  const answer = client.ping().then(() => {
    isAnswered = true
  })
  await sleep(100)
  expect(isAnswered).toBe(false)
  await frozen
  await answer
})

async function freshRedis(durability: 'always' | 'relaxed') {
  const dir = await mkdtemp(join(tmpdir(), 'muster-chaos-redis-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const redis = await startChaosRedis({ dir, path: process.env.PATH, durability, say: () => {} })
  onTestFinished(() => redis.process.close())
  return redis
}

function clientOf(port: number): Redis {
  const client = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null })
  // It is killed on purpose.
  client.on('error', () => {})
  onTestFinished(() => client.disconnect())
  return client
}

/** A server that says what it was told and where, behind a proxy. */
async function echoBehindProxy(): Promise<{ proxy: FaultProxy; heard: string[] }> {
  const heard: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      heard.push(bytes.toString())
      socket.write(`${socket.localAddress} ${bytes}`)
    })
  })
  server.listen(0, '0.0.0.0')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server listens on no TCP port')
  const proxy = await FaultProxy.start(() => address.port)
  onTestFinished(() => proxy.close())
  return { proxy, heard }
}

async function call(proxy: FaultProxy, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect(proxy.port, host)
  onTestFinished(() => {
    socket.destroy()
  })
  await once(socket, 'connect')
  return socket
}

async function nextText(socket: Socket): Promise<string> {
  const [bytes] = await once(socket, 'data', { signal: AbortSignal.timeout(10_000) })
  return String(bytes)
}
