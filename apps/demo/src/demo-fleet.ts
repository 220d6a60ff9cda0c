/**
 * A fleet of SSH hosts on this computer, for demonstrations and tests: no root, no sshd, nothing left behind. Each host
 * is a port of the loopback interface with a key of its own, and runs commands as the current user.
 *
 * For nothing else: whoever has the client key runs commands here. No pty, no forwarding, no sftp.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import ssh2, { type AuthContext, type Connection, type ParsedKey, type ServerChannel } from 'ssh2'

/** A host to start. */
export type DemoHost = {
  readonly name: string
  /** A host that is down: its port refuses connections. */
  readonly unreachable?: boolean
}

/** A running fleet. */
export type DemoFleet = {
  /** In the order given. */
  readonly hosts: readonly {
    readonly name: string
    readonly address: string
    readonly port: number
    readonly user: string
  }[]
  /** The text of a known_hosts file with the keys of all hosts. */
  readonly knownHosts: string
  /** The private key that logs in everywhere. */
  readonly clientKeyPem: string
  /** Stops all hosts and every command still running there, with its children. May be called twice. */
  close(): Promise<void>
}

const USER = 'demo'
const ADDRESS = '127.0.0.1'
/** tcpmux: nothing listens there, and an ordinary user cannot. */
const REFUSING_PORT = 1
/** As sshd sets it for an ordinary user. */
const PATH = '/usr/local/bin:/usr/bin:/bin'

/** Starts a fleet. Commands find the name of their host in the variable MUSTER_HOST_NAME. */
export async function startDemoFleet({ hosts }: { hosts: readonly DemoHost[] }): Promise<DemoFleet> {
  const client = newKeyPair()
  const clientKey = parsed(client.private)
  const started: (StartedHost & { name: string })[] = []
  for (const { name, unreachable } of hosts) {
    const host =
      unreachable === true ? { port: REFUSING_PORT, close: async () => {} } : await startHost(name, clientKey)
    started.push({ name, ...host })
  }
  return {
    hosts: started.map(({ name, port }) => ({ name, address: ADDRESS, port, user: USER })),
    knownHosts: started.map(({ knownHostsLine = '' }) => knownHostsLine).join(''),
    clientKeyPem: client.private,
    close: async () => {
      await Promise.all(started.map((host) => host.close()))
    },
  }
}

type StartedHost = { readonly port: number; readonly knownHostsLine?: string; close(): Promise<void> }

/**
 * A key pair. ssh2 1.17.0 writes about one in three hundred ed25519 keys in a form that it cannot read again (counted:
 * 7 of 2,000), so each key is read before it is used.
 */
function newKeyPair(): { readonly private: string; readonly public: string } {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519')
    if (!(ssh2.utils.parseKey(pair.private) instanceof Error)) return pair
  }
}

async function startHost(name: string, clientKey: ParsedKey): Promise<StartedHost> {
  const hostKey = newKeyPair()
  const children = new Set<ChildProcess>()
  const sockets = new Set<Socket>()
  const server = new ssh2.Server({ hostKeys: [hostKey.private] }, (connection) => {
    serve(connection, clientKey, name, children)
  })
  // A listener of our own, because ssh2's server neither hands out its sockets nor closes them.
  const listener = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    server.injectSocket(socket)
  })
  listener.listen(0, ADDRESS)
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP listener without a port')
  const close = async () => {
    for (const child of children) killGroup(child, 'SIGKILL')
    for (const socket of sockets) socket.destroy()
    if (!listener.listening) return
    listener.close()
    await once(listener, 'close')
  }
  const publicKey = hostKey.public.split(' ').slice(0, 2).join(' ')
  return { port: address.port, knownHostsLine: `[${ADDRESS}]:${address.port} ${publicKey}\n`, close }
}

function serve(connection: Connection, clientKey: ParsedKey, name: string, children: Set<ChildProcess>): void {
  // A client may go at any moment; without a listener that would end the process.
  connection.on('error', () => {})
  connection.on('authentication', (context) => {
    if (isClient(context, clientKey)) context.accept()
    else context.reject(['publickey'])
  })
  connection.on('session', (acceptSession) => {
    const session = acceptSession()
    let child: ChildProcess | undefined
    session.on('exec', (acceptExec, _reject, { command }) => {
      child = run(command, name, acceptExec())
      children.add(child)
      const started = child
      child.once('close', () => children.delete(started))
    })
    session.on('signal', (accept, _reject, { name: signal }) => {
      if (child !== undefined) killGroup(child, `SIG${signal}`)
      accept?.()
    })
  })
}

function isClient(context: AuthContext, clientKey: ParsedKey): boolean {
  if (context.method !== 'publickey' || !context.key.data.equals(clientKey.getPublicSSH())) return false
  // Without a signature the client only asks whether the key would be accepted.
  if (context.signature === undefined || context.blob === undefined) return true
  return clientKey.verify(context.blob, context.signature, context.hashAlgo) === true
}

function run(command: string, name: string, channel: ServerChannel): ChildProcess {
  const env = { PATH, HOME: homedir(), USER, LOGNAME: USER, SHELL: '/bin/sh', MUSTER_HOST_NAME: name }
  // Detached: a process group of its own, as under sshd.
  const child = spawn('/bin/sh', ['-c', command], { detached: true, cwd: startDirectory(), env })
  // The client may go at any moment, and later writes fail.
  channel.on('error', () => {})
  channel.stderr.on('error', () => {})
  child.stdin.on('error', () => {})
  channel.pipe(child.stdin)
  const write = writeInTurn(channel)
  pump(child.stdout, channel, write)
  pump(child.stderr, channel.stderr, write)
  child.once('error', () => {
    channel.exit(255)
    channel.end()
  })
  child.once('exit', (code, signal) => {
    if (code === null) channel.exit(signal?.slice(3) ?? 'KILL')
    else channel.exit(code)
  })
  child.once('close', () => {
    write(channel, '', () => channel.end())
  })
  return child
}

/** As under sshd: a user whose home directory is missing starts in `/`. */
function startDirectory(): string {
  try {
    accessSync(join(homedir(), '.'), constants.X_OK)
    return homedir()
  } catch {
    return '/'
  }
}

type Write = (target: Writable | Readable, bytes: Buffer | string, onWritten: () => void) => void

function pump(source: Readable, target: Writable | Readable, write: Write): void {
  source.on('data', (bytes: Buffer) => {
    source.pause()
    write(target, bytes, () => source.resume())
  })
}

/** The fields in which ssh2 keeps data that waits for a channel's window; ssh2 does not clear them. */
const WAITING = ['_chunk', '_chunkcb', '_chunkErr', '_chunkcbErr'] as const

/**
 * Writes to stdout and stderr of a channel one after the other. When both wait for the channel's window, ssh2 wakes
 * only one of them, and sends stdout's last waiting data again instead of stderr's.
 */
function writeInTurn(channel: ServerChannel): Write {
  let turn = Promise.resolve()
  const closed = new Promise<void>((resolve) => {
    channel.once('close', resolve)
  })
  return (target, bytes, onWritten) => {
    const written = () =>
      new Promise<void>((resolve) => {
        if (bytes.length === 0 || !('write' in target)) return resolve()
        target.write(bytes, () => {
          for (const field of WAITING) Reflect.set(channel, field, undefined)
          resolve()
        })
      })
    turn = turn.then(() => Promise.race([written(), closed])).then(onWritten)
  }
}

function killGroup({ pid }: ChildProcess, signal: string): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // It has ended, or there is no such signal: nothing is left to do either way.
  }
}

function parsed(pem: string): ParsedKey {
  const key = ssh2.utils.parseKey(pem)
  if (key instanceof Error) throw key
  return key
}
