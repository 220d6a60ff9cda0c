/** A TCP line to a port of this machine that can be cut in the middle of everything, for the tests of libs/ssh. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { onTestFinished } from 'vitest'

/**
 * A running relay. `cut` ends all its connections at once, both ways; `freeze` keeps those that it has at present
 * open, but lets nothing through any more, until `thaw`; `slowDown` lets so much through a second, to whoever has
 * connected. `count`: connections that it has had.
 */
export type Relay = {
  readonly port: number
  cut(): void
  freeze(): void
  thaw(): void
  slowDown(bytesPerSecond: number): void
  count(): number
}

/** Starts a relay to this port; it ends with the test. */
export async function startRelay(port: number): Promise<Relay> {
  const sockets = new Set<Socket>()
  const cut = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  const freeze = () => {
    for (const socket of sockets) socket.unpipe().pause()
  }
  const lines = new Set<readonly [near: Socket, far: Socket]>()
  const thaw = () => {
    for (const [near, far] of lines) near.pipe(far).pipe(near)
  }
  const slowDown = (bytesPerSecond: number) => {
    for (const [near, far] of lines) {
      far.unpipe()
      // Awaited by nobody: a line that is cut in between is what this is for.
      pipeline(far, (bytes: AsyncIterable<Buffer>) => slowly(bytes, bytesPerSecond), near).catch(() => {})
    }
  }
  let count = 0
  const server = createServer((near) => {
    count += 1
    const far = connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      // A cut line reports resets; that is what this is for.
      socket.on('error', () => {})
      socket.on('close', () => {
        near.destroy()
        far.destroy()
      })
    }
    lines.add([near, far])
    near.pipe(far)
    far.pipe(near)
  })
  onTestFinished(() => {
    cut()
    server.close()
  })
  server.listen(0, '0.0.0.0')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server listens on no TCP port')
  return { port: address.port, cut, freeze, thaw, slowDown, count: () => count }
}

async function* slowly(all: AsyncIterable<Buffer>, bytesPerSecond: number) {
  const pieceBytes = Math.ceil(bytesPerSecond / 10)
  for await (const bytes of all) {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      yield bytes.subarray(at, at + pieceBytes)
      await delay(100)
    }
  }
}
