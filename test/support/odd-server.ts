/** Servers that stop behaving like one at a chosen step, for the tests of libs/ssh. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { type Credential, fixedKnownHosts } from '@muster/ssh'
import ssh2, { type AuthContext, type Connection, type ServerChannel, type Session } from 'ssh2'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { dial, reach, sshdHost } from './ssh.ts'

/** A new key. ssh2 makes one in three hundred that nothing reads, itself included. */
function newHostKey(): { readonly private: string; readonly public: string } {
  const pair = ssh2.utils.generateKeyPairSync('ed25519')
  return ssh2.utils.parseKey(pair.private) instanceof Error ? newHostKey() : pair
}

/** The key all of these servers show. */
export const HOST_KEY = newHostKey()
/** What every one of these servers is offered. */
export const PASSWORD: Credential = { kind: 'password', password: 'sesame' }
const hostOn = (port: number) => sshdHost({ name: 'odd', address: '127.0.0.1', port, credentials: [PASSWORD] })

/** A listener of the test's own; everything is gone at its end. */
export async function listen(onSocket: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onSocket(socket)
  })
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP listener without a port')
  return hostOn(address.port)
}

/** What a server does at each step; without a step it is well-behaved. */
export type Behaviour = {
  onAuth?: (context: AuthContext) => void
  onSession?: (session: Session, connection: Connection, count: number) => void
  /** Undefined: neither opened nor refused. */
  refuseSession?: (count: number) => boolean | undefined
  algorithms?: ConstructorParameters<typeof ssh2.Server>[0]['algorithms']
}

/** A server that speaks SSH, up to a point. */
export function serve({ onAuth, onSession, refuseSession, algorithms }: Behaviour) {
  let count = 0
  const server = new ssh2.Server({ hostKeys: [HOST_KEY.private], ...(algorithms && { algorithms }) }, (connection) => {
    connection.on('error', () => {})
    connection.on('authentication', (context) => (onAuth === undefined ? context.accept() : onAuth(context)))
    connection.on('session', (accept, reject) => {
      count += 1
      const isRefused = refuseSession?.(count)
      if (isRefused === true) reject()
      if (isRefused === false || refuseSession === undefined) onSession?.(accept(), connection, count)
    })
  })
  return listen((socket) => server.injectSocket(socket))
}

/** Tries to reach such a server, whose key is known. */
export const dialOdd = (host: Awaited<ReturnType<typeof listen>>, timeoutMs = 5_000) =>
  dial(host, { knownHosts: fixedKnownHosts(`* ${HOST_KEY.public}\n`), timeoutMs })
/** A connection to such a server. */
export const reachOdd = async (behaviour: Behaviour) =>
  reach(await serve(behaviour), { knownHosts: fixedKnownHosts(`* ${HOST_KEY.public}\n`) })

/** Answers an exec as a host would whose shell waits for a line: with the hello. */
export function sayHello(channel: ServerChannel, line: string, words = 'group:setsid:proc:devfd'): void {
  const nonce = nonceOf(line)
  channel.write(`hello-${nonce}:4194304:${words}:in=bash:1\n`)
  channel.stderr.write(`hello-${nonce}:4194304:${words}:in=bash:2\n`)
}

/** The nonce of a line that a host was asked to run. */
function nonceOf(line: string): string {
  return /[0-9a-f]{32}/.exec(line)?.[0] ?? ''
}

/** Answers an exec as a host would whose command runs: with hello and start mark. */
export function startLauncher(channel: ServerChannel, line: string, onStarted: () => void): void {
  channel.on('error', () => {})
  channel.once('data', () => {
    channel.write(`start-${nonceOf(line)}:4194304:::1\n`)
    channel.stderr.write(`start-${nonceOf(line)}:4194304:::2\n`)
    onStarted()
  })
  sayHello(channel, line)
}

/**
 * Reports a signal by any name at all, which ssh2 refuses to send: the packet is made here.
 * @see RFC 4254, section 6.10
 */
export function sayExitSignal(channel: ServerChannel, name: string): void {
  const text = (said: string) => {
    const bytes = Buffer.from(said)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return Buffer.concat([length, bytes])
  }
  const recipient = Buffer.alloc(4)
  recipient.writeUInt32BE(Reflect.get(within(channel, 'outgoing'), 'id'))
  const no = Buffer.of(0)
  const payload = [Buffer.of(98), recipient, text('exit-signal'), no, text(name), no, text('Next: wipe all'), text('')]
  const cipher = ['_client', '_protocol', '_cipher'].reduce<object>(within, channel)
  const bytes = Buffer.concat(payload)
  const packet = z.instanceof(Buffer).parse(Reflect.apply(Reflect.get(cipher, 'allocPacket'), cipher, [bytes.length]))
  bytes.copy(packet, 5)
  Reflect.apply(Reflect.get(cipher, 'encrypt'), cipher, [packet])
}

function within(holder: object, name: string): object {
  return z.custom<object>((held) => typeof held === 'object' && held !== null).parse(Reflect.get(holder, name))
}
