/**
 * A TCP proxy in front of Redis that can lose a reply: the request is carried out, its answer never arrives, and the
 * connection is cut. That is what a client cannot tell from a request that was never carried out. It can also be away.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** A running proxy. */
export type CuttingProxy = {
  readonly url: string
  /** The next reply on any connection is lost. */
  loseNextReply(): void
  /** How many replies were lost so far. */
  lost(): number
  /** Cuts all connections and takes none, until it is told otherwise: Redis is away. */
  setAway(isAway: boolean): void
}

/** Starts a proxy to the Redis at this address; it ends with the test. */
export async function startCuttingProxy(redisUrl: string): Promise<CuttingProxy> {
  const url = new URL(redisUrl)
  const [host, port] = [url.hostname, Number(url.port)]
  const sockets = new Set<Socket>()
  let isArmed = false
  let lost = 0
  let isAway = false
  const server = createServer((client) => {
    if (isAway) {
      client.destroy()
      return
    }
    const redis = connect(port, host)
    for (const socket of [client, redis]) {
      sockets.add(socket)
      // Cut connections report resets; that is what this proxy is for.
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        redis.destroy()
      })
    }
    client.on('data', (bytes) => redis.write(bytes))
    redis.on('data', (bytes) => {
      if (!isArmed) {
        client.write(bytes)
        return
      }
      isArmed = false
      lost += 1
      client.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server listens on no TCP port')
  url.port = String(address.port)
  const loseNextReply = () => {
    isArmed = true
  }
  const setAway = (away: boolean) => {
    isAway = away
    if (away) for (const socket of sockets) socket.destroy()
  }
  return { url: url.href, loseNextReply, lost: () => lost, setAway }
}
