/**
 * A TCP socket for ssh2, which writes each packet in three pieces: its length, its content and its checksum. Every one
 * would be a call of the system and, as nothing is to wait for an acknowledgement, a segment of its own, for which the
 * host wakes up to find that the packet is not complete. Here what is written at one moment goes out together.
 *
 * Delays nothing: it is sent before anything else happens in this process.
 */
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'

type Written = (error?: Error | null) => void

/** Connects a socket that sends what is written at one moment in one piece, and at once. */
export function connectForPackets(options: TcpNetConnectOpts): Socket {
  // Without noDelay every command waits 40 ms for an acknowledgement that the host delays.
  const socket = connect({ ...options, noDelay: true })
  const write = socket.write.bind(socket)
  // Not as a class: a socket puts node's own `write` in place of any other when it connects.
  socket.write = (bytes: Uint8Array | string, encoding?: BufferEncoding | Written, done?: Written) => {
    if (socket.writableCorked === 0) {
      socket.cork()
      process.nextTick(() => socket.uncork())
    }
    return typeof encoding === 'function' ? write(bytes, encoding) : write(bytes, encoding, done)
  }
  return socket
}
