/**
 * Reaching a host: TCP (or a forward through its jump host), handshake, host key, log-in, all under one deadline.
 *
 *   the look-up of its address → the TCP connection → the SSH handshake (host key verified) → the log-in → ready → closed
 *
 * A connection is never made without verifying the host key. Everything that can go wrong is a value with a reason;
 * nothing a host does or leaves undone makes it wait beyond the deadline. Does not run commands (exec.ts), and keeps
 * no connections for later (pool.ts).
 */
import type { LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import type { Duplex } from 'node:stream'
import ssh2, { type Client, type ClientChannel } from 'ssh2'
import { type Credential, type Login, planLogin } from '../login/authentication.ts'
import {
  causeOfAbort,
  closedEarly,
  type DialPhase,
  explainDialError,
  type Failure,
  failure,
  fieldsOf,
  noAnswer,
  notAccepted,
  printable,
} from '../verdict/failure.ts'
import { algorithmsFor, explainMismatch, legacyAmong } from './algorithms.ts'
import { openForward } from './forward.ts'
import { holdBack } from './hold-back.ts'
import { type HostIdentity, hostKeyAlgorithms, refuseHostKey } from './host-verification.ts'
import type { KnownHosts, KnownHostsSource } from './known-hosts.ts'
import { LookUps } from './look-ups.ts'
import { watchMessage, watchOffers } from './messages.ts'
import { connectForPackets } from './packet-socket.ts'

/** A host and all that is needed to log in there. */
export type SshHost = HostIdentity & {
  readonly name: string
  readonly user: string
  readonly credentials: readonly Credential[]
  /** Also the algorithms that old hosts have. Absent: only those of today. */
  readonly algorithms?: 'legacy'
  /** The host to go through, with its own credentials; verified under its own name. */
  readonly jump?: SshHost
}

/** A connection that is logged in. */
export type SshConnection = {
  readonly hostName: string
  /** ssh2's own; for this package. */
  readonly client: Client
  /** The key that the host has proved its identity with. */
  readonly hostKey: Buffer
  /** Channels for commands that one of the two sides has not closed yet; kept by channel.ts. */
  readonly channels: Set<ClientChannel>
  /** What else there is to know of it: that it uses old algorithms. */
  readonly notice?: string
  /** The connection to its jump host; absent when it goes through none. */
  readonly hop?: SshConnection
  /** Whether the connection still stands, as far as this side knows. */
  isOpen(): boolean
  /** Ends the connection and the one to its jump host. What runs on the host runs on. May be called twice. */
  close(): void
}

/** A connection, or why there is none. */
export type ConnectResult = { readonly ok: true; readonly connection: SshConnection } | Refused
/** Why there is no connection. */
export type Refused = { readonly ok: false } & Failure

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

/** Gives a turn to make a handshake back. */
export type EndTurn = () => void

/** What a dial needs. */
export type DialOptions = {
  readonly known: KnownHosts
  readonly lookUps: LookUps
  /** Is told of each phase as it begins, from the look-up on. */
  readonly onPhase?: (phase: DialPhase) => void
  /** An abort means that its time is over. */
  readonly signal: AbortSignal
  /**
   * Waits until the handshake may begin with a host that has answered, or says why it may not; it heeds the signal, and
   * what it gives is called when the log-in is over. Absent where nobody else shakes hands.
   */
  readonly turn?: () => Promise<EndTurn | Failure>
}

/** What a connection runs over, and how to take it down for good. */
type Route = { readonly stream: Duplex; destroy(): void }

/** Connects and logs in to a host. */
export async function connect(host: SshHost, options: ConnectOptions): Promise<ConnectResult> {
  const dial = new AbortController()
  const timer = setTimeout(() => dial.abort(), options.timeoutMs)
  const onAbort = () => dial.abort()
  options.signal.addEventListener('abort', onAbort)
  if (options.signal.aborted) dial.abort()
  const lookUps = new LookUps()
  try {
    const result = await reach(host, { known: await options.knownHosts.read(), lookUps, signal: dial.signal })
    if (result.ok || !dial.signal.aborted) return result
    if (options.signal.aborted) {
      return refused(failure(causeOfAbort(options.signal), `stopped before ${host.name} was reached`))
    }
    return { ...result, detail: `${result.detail} (limit ${options.timeoutMs / 1_000} s)` }
  } finally {
    lookUps.close()
    clearTimeout(timer)
    options.signal.removeEventListener('abort', onAbort)
  }
}

async function reach(host: SshHost, options: DialOptions): Promise<ConnectResult> {
  if (host.jump === undefined) return await dial(host, undefined, options)
  const hop = await reach(host.jump, options)
  return hop.ok ? await dial(host, hop.connection, options) : refused(jumpFailure(host.jump, hop))
}

/**
 * Connects and logs in to a host, through the connection to its jump host where it has one. That one is closed when
 * the new connection ends, or does not come about.
 */
export async function dial(
  host: SshHost,
  hop: SshConnection | undefined,
  options: DialOptions,
): Promise<ConnectResult> {
  if (hop === undefined) {
    options.onPhase?.('the look-up of its address')
    const found = isIP(host.address) === 0 ? await options.lookUps.find(host.address, options.signal) : undefined
    if (found !== undefined && 'failure' in found) return refused(atHost(host, found.failure))
    return await logIn(host, openSocket(host, found?.addresses), options)
  }
  const forward = await openForward(hop.client, host, options.signal)
  if ('failure' in forward) {
    hop.close()
    const detail = `jump host ${hop.hostName} did not connect to ${where(host)}: ${forward.failure}`
    return refused(failure('jump_failed', detail, forward))
  }
  const { stream } = forward
  const destroy = () => {
    stream.destroy()
    hop.close()
  }
  const result = await logIn(host, { stream, destroy }, options)
  if (!result.ok) return result
  const notices = [hop.notice, result.connection.notice].filter((notice) => notice !== undefined)
  const notice = notices.length === 0 ? {} : { notice: notices.join('; ') }
  return { ok: true, connection: { ...result.connection, hop, ...notice } }
}

/** Why a host behind a jump host that was not reached is not reached either. */
export function jumpFailure(jump: SshHost, { reason, detail, isRetryable }: Failure): Failure {
  return failure('jump_failed', `jump host ${jump.name}: ${reason}: ${detail}`, { isRetryable })
}

/** To the first address that answers, of those that were found where the host is given by its name. */
function openSocket({ address, port }: SshHost, found: LookupAddress[] = []): Route {
  const lookup: LookupFunction = (_name, _options, done) => process.nextTick(done, null, found)
  const timing = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS }
  const stream = connectForPackets({ host: address, port, ...timing, lookup })
  return { stream, destroy: () => stream.destroy() }
}

function logIn(host: SshHost, route: Route, { known, signal, turn, onPhase }: DialOptions): Promise<ConnectResult> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client()
    const isLegacy = host.algorithms === 'legacy'
    let isAgentAsked = false
    const login = planLogin(
      { ...host, withSha1: isLegacy },
      {
        giveUp: () => fail(notAccepted(login.outcome())),
        onAgentAsked: (isAsked) => {
          isAgentAsked = isAsked
          onPhase?.(isAsked ? 'the SSH agent' : phase)
        },
      },
    )
    let phase: DialPhase = 'the TCP connection'
    const enter = (next: DialPhase) => {
      phase = next
      onPhase?.(phase)
    }
    enter('the TCP connection')
    let isOpen = true
    let isReady = false
    let isWaiting = false
    let endTurn: EndTurn = () => {}
    let hostKeyFailure: Failure | undefined
    let hostKey = Buffer.alloc(0)
    let legacy: readonly string[] = []

    // Resolving twice does nothing: the first thing that goes wrong is the one that is told.
    const fail = (why: Failure) => {
      signal.removeEventListener('abort', onAbort)
      isOpen = false
      resolve(refused(atHost(host, why)))
      route.destroy()
      endTurn()
    }
    const onAbort = () => {
      // Then its turn did not come, and says so.
      if (isWaiting) return
      const tried = phase === 'the log-in' ? `; ${login.outcome().tried}` : ''
      fail(noAnswer(isAgentAsked ? 'the SSH agent' : phase, tried))
    }
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort)

    // Stays on for good: more than one error can come, and one without a listener would end the process.
    client.on('error', (error) => {
      // The agent or one key did not work: ssh2 goes on with the next credential by itself.
      const isOneAttempt = fieldsOf(error).level === 'agent' || error.message.startsWith('Error signing data')
      if (isOneAttempt && !isReady) return login.note(printable(error.message))
      if (!isReady) {
        const why = hostKeyFailure ?? explainDialError(error, phase, login.outcome())
        const { ours, theirs } = offers()
        const mismatch = why.reason === 'kex_failed' ? explainMismatch(ours, theirs, isLegacy) : undefined
        return fail(mismatch === undefined ? why : { ...why, detail: `${why.detail}; ${mismatch}` })
      }
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
      enter('the SSH handshake')
    })
    client.once('handshake', ({ kex, serverHostKey, cs, sc }) => {
      enter('the log-in')
      legacy = legacyAmong([kex, serverHostKey, cs.cipher, sc.cipher])
      skipHostKeyProof(client)
    })
    client.on('change password', () => {
      fail(failure('auth_failed', `the password of ${host.user} has expired and must be changed there`))
    })
    client.once('ready', () => {
      if (signal.aborted) return
      isReady = true
      signal.removeEventListener('abort', onAbort)
      endTurn()
      const close = () => closeClient(client, route)
      const stands = { isOpen: () => isOpen, close, channels: new Set<ClientChannel>() }
      const used = [...legacy, ...(login.hasUsedSha1() ? ['signature ssh-rsa'] : [])]
      const notice = used.length === 0 ? {} : { notice: `${host.name} uses legacy algorithms: ${used.join(', ')}` }
      resolve({ ok: true, connection: { hostName: host.name, client, hostKey, ...stands, ...notice } })
    })
    const awaitTurn = async (ask: () => Promise<EndTurn | Failure>) => {
      isWaiting = true
      const given = await ask()
      isWaiting = false
      if (typeof given !== 'function') return fail(given)
      endTurn = given
      if (!isOpen) endTurn()
      else if (signal.aborted) onAbort()
    }
    if (turn !== undefined) {
      holdBack(route.stream, () => awaitTurn(turn)).catch((error: unknown) => {
        isOpen = false
        route.destroy()
        reject(error)
      })
    }
    client.connect({
      sock: route.stream,
      username: host.user,
      readyTimeout: 0,
      ...KEEPALIVE,
      algorithms: algorithmsFor(hostKeyAlgorithms(host, known), isLegacy),
      hostVerifier: (key: Buffer) => {
        hostKey = Buffer.from(key)
        hostKeyFailure = refuseHostKey(host, known, key)
        return hostKeyFailure === undefined
      },
      authHandler: () => login.next(),
    })
    listenToLogin(client, login)
    const offers = watchOffers(client)
  })
}

/** Tells a log-in what the host says to it. */
function listenToLogin(client: Client, login: Login): void {
  watchMessage(client, 'USERAUTH_FAILURE', (offered, isPartial) => {
    login.hear(Array.isArray(offered) ? offered.map(String) : [], isPartial === true)
    return true
  })
  watchMessage(client, 'USERAUTH_INFO_REQUEST', () => login.countRequest())
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

/** What went wrong, with the host where it did. */
export function atHost(host: SshHost, why: Failure): Failure {
  return { ...why, detail: `${host.name} (${where(host)}): ${why.detail}` }
}

function where({ user, address, port }: SshHost): string {
  return `${user}@${address}:${port}`
}

/** A failure as the result of a dial. */
export function refused(why: Failure): Refused {
  return { ok: false, ...why }
}
