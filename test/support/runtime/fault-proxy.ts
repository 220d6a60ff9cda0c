/**
 * A connection that can go wrong: a TCP proxy that cuts, loses half a reply, or holds everything up for a while. It
 * passes on to the address it was called at, so one proxy stands in front of all hosts of the fleet.
 *
 * Understands nothing of what it carries.
 */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A running proxy. */
export class FaultProxy {
  readonly port: number
  readonly #server: Server
  readonly #targetPort: () => number
  readonly #sockets = new Set<Socket>()
  #isStalled = false
  #heldBack = 0
  #replyBytes: number | undefined

  /** Starts one on a free port of all loopback addresses. `targetPort` is asked at each new connection. */
  static async start(targetPort: () => number): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true })
    server.listen(0, '0.0.0.0')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('the server listens on no TCP port')
    return new FaultProxy(server, address.port, targetPort)
  }

  private constructor(server: Server, port: number, targetPort: () => number) {
    this.port = port
    this.#server = server
    this.#targetPort = targetPort
    server.on('connection', (client) => this.#join(client))
  }

  /** Resets all connections. New ones work. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** Of the next reply on any connection only the first bytes arrive, fewer than it has; then that one ends. */
  loseNextReply(bytes: number): void {
    this.#replyBytes = bytes
  }

  /** Nothing passes any more, in either direction, and nobody is told; until `resume`. */
  stall(): void {
    this.#isStalled = true
    for (const socket of this.#sockets) socket.pause()
  }

  /** How many connections were opened since `stall`: all they know is that they are connected. */
  get heldBack(): number {
    return this.#heldBack
  }

  /** Goes on with what was held up. */
  resume(): void {
    this.#isStalled = false
    this.#heldBack = 0
    for (const socket of this.#sockets) socket.resume()
  }

  /** Ends it and its connections. */
  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #join(client: Socket): void {
    if (this.#isStalled) this.#heldBack += 1
    const target = connect({
      port: this.#targetPort(),
      host: client.localAddress ?? '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
    })
    client.setNoDelay(true)
    this.#carry(client, target, (bytes) => bytes)
    this.#carry(target, client, (bytes) => this.#spoil(bytes))
  }

  #carry(from: Socket, to: Socket, pass: (bytes: Buffer) => Buffer): void {
    this.#sockets.add(from)
    const onData = (bytes: Buffer) => {
      const passed = pass(bytes)
      const hasRoom = to.write(passed)
      if (passed.length < bytes.length) {
        // An end, not a reset: that would take away what was just written.
        to.end()
        from.off('data', onData).resume()
      } else if (!hasRoom) {
        from.pause()
        to.once('drain', () => {
          if (!this.#isStalled) from.resume()
        })
      }
    }
    from.on('data', onData)
    // Resets are what this proxy is for.
    from.on('error', () => {})
    from.on('end', () => to.end())
    from.on('close', (hadError) => {
      this.#sockets.delete(from)
      if (hadError || !from.readableEnded) to.resetAndDestroy()
    })
    if (this.#isStalled) from.pause()
  }

  #spoil(bytes: Buffer): Buffer {
    const { length } = bytes
    const kept = this.#replyBytes
    if (kept === undefined || length === 0) return bytes
    this.#replyBytes = undefined
    return bytes.subarray(0, kept % length)
  }
}
