/** Servers that stop behaving like one at a chosen step, for the tests of libs/ssh. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { type Credential, fixedKnownHosts } from '@muster/ssh'
import ssh2, { type AuthContext, type Connection, type ServerChannel, type Session } from 'ssh2'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import type { ConnectResult } from '../../../libs/ssh/src/connect/connection.ts'
import { startRelay } from './relay.ts'
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
  if (address === null || typeof address === 'string') throw new Error('the server listens on no TCP port')
  return hostOn(address.port)
}

/** What a server does at each step; without a step it is well-behaved. */
export type Behaviour = {
  onAuth?: (context: AuthContext, connection: Connection) => void
  onSession?: (session: Session, connection: Connection, count: number) => void
  /** Undefined: neither opened nor refused. */
  refuseSession?: (count: number, connection: Connection) => boolean | undefined
  algorithms?: ConstructorParameters<typeof ssh2.Server>[0]['algorithms']
}

/** A server that speaks SSH, up to a point. */
export function serve({ onAuth, onSession, refuseSession, algorithms }: Behaviour) {
  let count = 0
  const server = new ssh2.Server({ hostKeys: [HOST_KEY.private], ...(algorithms && { algorithms }) }, (connection) => {
    connection.on('error', () => {})
    connection.on('authentication', (context) =>
      onAuth === undefined ? context.accept() : onAuth(context, connection),
    )
    connection.on('session', (accept, reject) => {
      count += 1
      const isRefused = refuseSession?.(count, connection)
      if (isRefused === true) reject()
      if (isRefused === false || refuseSession === undefined) onSession?.(accept(), connection, count)
    })
  })
  return listen((socket) => server.injectSocket(socket))
}

/** Tries to reach such a server, whose key is known. */
export const dialOdd = (host: Awaited<ReturnType<typeof listen>>, timeoutMs = 5_000): Promise<ConnectResult> =>
  dial(host, { knownHosts: fixedKnownHosts(`* ${HOST_KEY.public}\n`), timeoutMs })
/** A connection to such a server. */
export const reachOdd = async (behaviour: Behaviour) =>
  reach(await serve(behaviour), { knownHosts: fixedKnownHosts(`* ${HOST_KEY.public}\n`) })

/** A connection to such a server over a line that can be cut, frozen and slowed down. */
export async function reachOddOverRelay(behaviour: Behaviour) {
  const host = await serve(behaviour)
  const relay = await startRelay(host.port)
  const knownHosts = fixedKnownHosts(`* ${HOST_KEY.public}\n`)
  return { relay, connection: await reach({ ...host, port: relay.port }, { knownHosts }) }
}

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
 * Reports a signal by any name at all, which ssh2 refuses to send.
 * @see RFC 4254, section 6.10
 */
export function sayExitSignal(channel: ServerChannel, name: string): void {
  const recipient = uint32(z.number().parse(Reflect.get(within(channel, 'outgoing'), 'id')))
  const no = Buffer.of(0)
  const said = [packetText('exit-signal'), no, packetText(name), no, packetText('Next: wipe all'), packetText('')]
  sendPacket(within(channel, '_client'), Buffer.of(98), recipient, ...said)
}

/**
 * Ends the connection with any words at all.
 * @see RFC 4253, section 11.1
 */
export function sayDisconnect(connection: Connection, reason: number, words: string): void {
  sendPacket(connection, Buffer.of(1), uint32(reason), packetText(words), packetText(''))
}

/**
 * Refuses the first channel of a connection with any words at all.
 * @see RFC 4254, section 5.1
 */
export function sayChannelRefused(connection: Connection, words: string): void {
  sendPacket(connection, Buffer.of(92), uint32(0), uint32(1), packetText(words), packetText(''))
}

/** Sends a packet that is made here, by the cipher that ssh2 has for the connection. */
function sendPacket(connection: object, ...payload: readonly Buffer[]): void {
  const cipher = ['_protocol', '_cipher'].reduce<object>(within, connection)
  const bytes = Buffer.concat(payload)
  const packet = z.instanceof(Buffer).parse(Reflect.apply(Reflect.get(cipher, 'allocPacket'), cipher, [bytes.length]))
  bytes.copy(packet, 5)
  Reflect.apply(Reflect.get(cipher, 'encrypt'), cipher, [packet])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function packetText(said: string): Buffer {
  const bytes = Buffer.from(said)
  return Buffer.concat([uint32(bytes.length), bytes])
}

function within(holder: object, name: string): object {
  return z.custom<object>((held) => typeof held === 'object' && held !== null).parse(Reflect.get(holder, name))
}
