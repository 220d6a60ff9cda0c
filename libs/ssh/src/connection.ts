/**
 * Reaching a host: TCP (or a forward through its jump host), handshake, host key, log-in, all under one deadline.
 *
 *   the TCP connection → the SSH handshake (host key verified) → the log-in → ready → closed
 *
 * A connection is never made without verifying the host key. Everything that can go wrong is a value with a reason;
 * nothing a host does or leaves undone makes it wait beyond the deadline. Does not run commands (exec.ts), and keeps
 * no connections for later.
 */
import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import ssh2, { type Client } from 'ssh2'
import { type Credential, planLogin } from './authentication.ts'
import {
  causeOfAbort,
  closedEarly,
  type DialPhase,
  explainDialError,
  type Failure,
  failure,
  fieldsOf,
  printable,
} from './failure.ts'
import { type HostIdentity, hostKeyAlgorithms, refuseHostKey } from './host-verification.ts'
import type { KnownHosts, KnownHostsSource } from './known-hosts.ts'

/** A host and all that is needed to log in there. */
export type SshHost = HostIdentity & {
  readonly name: string
  readonly user: string
  readonly credentials: readonly Credential[]
  /** The host to go through, with its own credentials; verified under its own name. */
  readonly jump?: SshHost
}

/** A connection that is logged in. */
export type SshConnection = {
  readonly hostName: string
  /** ssh2's own; for this package. */
  readonly client: Client
  /** Whether the connection still stands, as far as this side knows. */
  isOpen(): boolean
  /** Ends the connection and the one to its jump host. What runs on the host runs on. May be called twice. */
  close(): void
}

/** A connection, or why there is none. */
export type ConnectResult = { readonly ok: true; readonly connection: SshConnection } | Refused
type Refused = { readonly ok: false } & Failure

/** How to connect. */
export type ConnectOptions = {
  readonly knownHosts: KnownHostsSource
  /** For everything together, from the look-up of the address to the log-in. */
  readonly timeoutMs: number
  /** Gives up. The reason is then `job_timeout` where that is the reason of the abort, else `cancelled_by_user`. */
  readonly signal: AbortSignal
}

/** As ServerAliveInterval and ServerAliveCountMax of ssh: a dead host is noticed after 45 to 60 s. */
const KEEPALIVE = { keepaliveInterval: 15_000, keepaliveCountMax: 3 }
/** Node gives up an address after 250 ms when a name has several; some networks take longer than that. */
const NEXT_ADDRESS_MS = 2_000
/** How long a host may take to close its side before the socket is taken down. */
const CLOSE_GRACE_MS = 1_000

type Deps = { readonly known: KnownHosts; readonly signal: AbortSignal }

/** What a connection runs over, and how to take it down for good. */
type Route = { readonly stream: Duplex; destroy(): void }

/** Connects and logs in to a host. */
export async function connect(host: SshHost, options: ConnectOptions): Promise<ConnectResult> {
  const dial = new AbortController()
  const timer = setTimeout(() => dial.abort(), options.timeoutMs)
  const onAbort = () => dial.abort()
  options.signal.addEventListener('abort', onAbort)
  if (options.signal.aborted) dial.abort()
  try {
    const result = await reach(host, { known: await options.knownHosts.read(), signal: dial.signal })
    if (result.ok || !dial.signal.aborted) return result
    if (options.signal.aborted) {
      return refused(failure(causeOfAbort(options.signal), `stopped before ${host.name} was reached`))
    }
    return { ...result, detail: `${result.detail} (limit ${options.timeoutMs / 1_000} s)` }
  } finally {
    clearTimeout(timer)
    options.signal.removeEventListener('abort', onAbort)
  }
}

async function reach(host: SshHost, deps: Deps): Promise<ConnectResult> {
  if (host.jump === undefined) return await logIn(host, openSocket(host), deps)
  const hop = await reach(host.jump, deps)
  if (!hop.ok) {
    const detail = `jump host ${host.jump.name}: ${hop.reason}: ${hop.detail}`
    return refused(failure('jump_failed', detail, hop.isRetryable))
  }
  const route = await openForward(hop.connection, host, deps.signal)
  if (!('failure' in route)) return await logIn(host, route, deps)
  hop.connection.close()
  const detail = `jump host ${host.jump.name} did not connect to ${where(host)}: ${route.failure}`
  return refused(failure('jump_failed', detail))
}

function openSocket({ address, port }: SshHost): Route {
  // Without noDelay every command waits 40 ms for an acknowledgement that the host delays.
  const options = { host: address, port, noDelay: true, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS }
  const stream = connectTcp(options)
  return { stream, destroy: () => stream.destroy() }
}

function openForward(hop: SshConnection, host: SshHost, signal: AbortSignal): Promise<Route | { failure: string }> {
  return new Promise((resolve) => {
    const giveUp = () => resolve({ failure: 'no answer in time' })
    if (signal.aborted) return giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      hop.client.forwardOut('127.0.0.1', 0, host.address, host.port, (error, stream) => {
        signal.removeEventListener('abort', giveUp)
        if (error) return resolve({ failure: printable(error.message) })
        const destroy = () => {
          stream.destroy()
          hop.close()
        }
        resolve({ stream, destroy })
      })
    } catch (error) {
      // ssh2 throws when the connection is gone already.
      resolve({ failure: error instanceof Error ? error.message : String(error) })
    }
  })
}

function logIn(host: SshHost, route: Route, { known, signal }: Deps): Promise<ConnectResult> {
  return new Promise((resolve) => {
    const client = new ssh2.Client()
    const login = planLogin(host.user, host.credentials)
    let phase: DialPhase = 'the TCP connection'
    let isOpen = true
    let isReady = false
    let hostKeyFailure: Failure | undefined

    // Resolving twice does nothing: the first thing that goes wrong is the one that is told.
    const fail = ({ reason, detail, isRetryable }: Failure) => {
      signal.removeEventListener('abort', onAbort)
      isOpen = false
      resolve(refused(failure(reason, `${host.name} (${where(host)}): ${detail}`, isRetryable)))
      route.destroy()
    }
    const onAbort = () => {
      const tried = phase === 'the log-in' ? `; ${login.tried()}` : ''
      fail(failure('conn_timeout', `no answer in time, while waiting for ${phase}${tried}`))
    }
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort)

    // Stays on for good: more than one error can come, and one without a listener would end the process.
    client.on('error', (error) => {
      // The agent or one key did not work: ssh2 goes on with the next credential by itself.
      const isOneAttempt = fieldsOf(error).level === 'agent' || error.message.startsWith('Error signing data')
      if (isOneAttempt && !isReady) return login.note(printable(error.message))
      if (!isReady) return fail(hostKeyFailure ?? explainDialError(error, phase, login.tried()))
      isOpen = false
      // ssh2 only ends its side, and a broken host would keep the connection half open for ever.
      route.destroy()
    })
    client.on('close', () => {
      isOpen = false
      if (!isReady) fail(hostKeyFailure ?? closedEarly(phase))
      route.destroy()
    })
    client.on('connect', () => {
      phase = 'the SSH handshake'
    })
    client.once('handshake', () => {
      phase = 'the log-in'
      skipHostKeyProof(client)
    })
    client.on('change password', () => {
      fail(failure('auth_failed', `the password of ${host.user} has expired and must be changed there`))
    })
    client.once('ready', () => {
      if (signal.aborted) return
      isReady = true
      signal.removeEventListener('abort', onAbort)
      const close = () => closeClient(client, route)
      resolve({ ok: true, connection: { hostName: host.name, client, isOpen: () => isOpen, close } })
    })
    client.connect({
      sock: route.stream,
      username: host.user,
      readyTimeout: 0,
      ...KEEPALIVE,
      algorithms: { serverHostKey: hostKeyAlgorithms(host, known) },
      hostVerifier: (key: Buffer) => {
        hostKeyFailure = refuseHostKey(host, known, key)
        return hostKeyFailure === undefined
      },
      authHandler: (offered, isPartial) => login.next(offered, isPartial),
    })
  })
}

/**
 * Keeps ssh2 from making OpenSSH prove all its host keys after the log-in: that costs a tenth of a connection, and
 * nobody asks for the result. There is no option; ssh2 leaves it out for servers of other makes, so it is told that
 * this is one. Should the field be renamed, the proof is merely made again (test/integration/ssh-connect.test.ts).
 */
function skipHostKeyProof(client: Client): void {
  Reflect.set(client, '_remoteVer', '')
}

function closeClient(client: Client, route: Route): void {
  client.end()
  const timer = setTimeout(() => route.destroy(), CLOSE_GRACE_MS)
  client.once('close', () => clearTimeout(timer))
  timer.unref()
}

function where({ user, address, port }: SshHost): string {
  return `${user}@${address}:${port}`
}

function refused(why: Failure): Refused {
  return { ok: false, ...why }
}
