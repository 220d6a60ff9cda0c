/**
 * A TCP socket for ssh2, which writes each packet in three pieces: its length, its content and its checksum. Each piece
 * would be a system call and, with noDelay, a segment of its own, for which the host wakes up to find an incomplete
 * packet. Here all writes of one moment go out together.
 *
 * Delays nothing: they are sent before anything else happens in this process.
 */
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'

type Written = (error?: Error | null) => void

/** Connects a socket that sends all writes of one moment in one piece, and at once. */
export function connectForPackets(options: TcpNetConnectOpts): Socket {
  // Without noDelay every command waits 40 ms for an acknowledgement that the host delays.
  const socket = connect({ ...options, noDelay: true })
  const write = socket.write.bind(socket)
  // Not as a class: a socket replaces its `write` by Node's own when it connects.
  socket.write = (bytes: Uint8Array | string, encoding?: BufferEncoding | Written, done?: Written) => {
    if (socket.writableCorked === 0) {
      socket.cork()
      process.nextTick(() => socket.uncork())
    }
    return typeof encoding === 'function' ? write(bytes, encoding) : write(bytes, encoding, done)
  }
  return socket
}
