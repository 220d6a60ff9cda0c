/**
 * The handshake with a host and the log-in there, over a stream that leads to it:
 *
 *   under way (TCP → turn → handshake, host key → log-in) → ready → over
 *               └ an error, the end of the stream, the deadline → over
 *
 * ssh2 does the protocol; here its events become one connection, or one failure with a reason. Neither opens the
 * stream (dial.ts) nor chooses credentials (authentication.ts).
 */
import type { Duplex } from 'node:stream'
import { fingerprintOf, type KnownHosts, type Reached } from '@muster/contract'
import ssh2, { type ClientChannel } from 'ssh2'
import { type Login, planLogin } from '../login/authentication.ts'
import { takeCertificates } from '../login/certified-key.ts'
import { isCertified } from '../login/credential.ts'
import { type Failure, failure, fieldsOf, printable } from '../verdict/failure.ts'
import { algorithmsFor, explainMismatch, hostKeysIn, legacyAmong } from './algorithms.ts'
import { atHost, type ConnectResult, refused, type SshHost } from './connection.ts'
import { closedEarly, type DialPhase, explainDialError, noAnswer, notAccepted } from './dial-failure.ts'
import { holdBack } from './hold-back.ts'
import { hostKeyAlgorithms, otherHostKeys, refuseHostKey } from './host-verification.ts'
import { hasSaidEnd, type Offers, watchMessage, watchOffers } from './messages.ts'

/** Gives back a turn to make a handshake. */
export type EndTurn = () => void

/** What a log-in needs. */
export type LogInOptions = {
  readonly known: KnownHosts
  /** Is told of each phase as it begins. */
  readonly onPhase?: (phase: DialPhase) => void
  /** An abort means that the time is over. */
  readonly signal: AbortSignal
  /**
   * Waits until the handshake may begin with a host that has answered, or says why it may not. It obeys the signal.
   * The function it returns is called when the log-in is over. Absent: no turns are taken.
   */
  readonly turn?: () => Promise<EndTurn | Failure>
  /** How often a host that says nothing is asked for a sign of life, in milliseconds. Absent: every 15 s. */
  readonly keepaliveMs?: number
}

/** What a connection runs over, and how to take it down for good. */
export type Route = {
  readonly stream: Duplex
  /** The IP address at its other end, once it is connected; null when another host has looked it up. */
  address(): string | null
  destroy(): void
}

/** As ServerAliveInterval and ServerAliveCountMax of ssh: a dead host is noticed after 45 to 60 s. */
const KEEPALIVE_MS = 15_000
const KEEPALIVE_COUNT = 3
/** How long a host may take to close its side before the socket is taken down. */
const CLOSE_GRACE_MS = 1_000

/** Shakes hands and logs in. Rejects with an error of `turn`, or when ssh2 has other fields than it had. */
export function logIn(host: SshHost, route: Route, options: LogInOptions): Promise<ConnectResult> {
  return new Promise((resolve, reject) => {
    new LogIn(host, route, options, { resolve, reject }).begin()
  })
}

/** Whom one log-in tells of its result. Only the first call counts, so the first failure is the one reported. */
type Settle = { readonly resolve: (result: ConnectResult) => void; readonly reject: (error: unknown) => void }

class LogIn {
  readonly #host: SshHost
  readonly #route: Route
  readonly #options: LogInOptions
  readonly #settle: Settle
  readonly #client = new ssh2.Client()
  readonly #login: Login
  readonly #isLegacy: boolean
  #state: 'under way' | 'ready' | 'over' = 'under way'
  #phase: DialPhase = 'the TCP connection'
  #isAgentAsked = false
  #isAwaitingTurn = false
  #endTurn: EndTurn = () => {}
  #hostKey = Buffer.alloc(0)
  #hostKeyFailure: Failure | undefined
  /** Undefined: there is no TCP connection yet. */
  #address: string | null | undefined
  /** Algorithms in use that only old hosts are offered. */
  #legacy: readonly string[] = []
  readonly #channels = new Set<ClientChannel>()
  readonly #cutOff = new Set<ClientChannel>()
  #offers: (() => Offers) | undefined

  constructor(host: SshHost, route: Route, options: LogInOptions, settle: Settle) {
    this.#host = host
    this.#route = route
    this.#options = options
    this.#settle = settle
    this.#isLegacy = host.algorithms === 'legacy'
    this.#login = planLogin(
      { ...host, withSha1: this.#isLegacy },
      {
        giveUp: () => this.#fail(notAccepted(this.#login.outcome())),
        onAgentAsked: (isAsked) => {
          this.#isAgentAsked = isAsked
          options.onPhase?.(isAsked ? 'the SSH agent' : this.#phase)
        },
      },
    )
  }

  begin(): void {
    const { signal, turn } = this.#options
    this.#enter('the TCP connection')
    if (signal.aborted) {
      this.#onAbort()
      return
    }
    signal.addEventListener('abort', this.#onAbort)
    this.#listen()
    if (turn !== undefined) this.#takeTurn(turn)
    this.#connect()
    this.#watchMessages()
  }

  #listen(): void {
    // For good: more than one error can come, and an error without a listener would end the process.
    this.#client.on('error', (error) => this.#onError(error))
    this.#client.on('close', () => this.#onClose())
    this.#client.on('connect', () => {
      this.#address = this.#route.address()
      this.#enter('the SSH handshake')
    })
    this.#client.once('handshake', ({ kex, serverHostKey, cs, sc }) => {
      this.#enter('the log-in')
      this.#legacy = legacyAmong([kex, serverHostKey, cs.cipher, sc.cipher])
      this.#skipHostKeyProof()
    })
    this.#client.on('change password', () => {
      this.#fail(failure('auth_failed', `the password of ${this.#host.user} has expired and must be changed there`))
    })
    this.#client.once('ready', () => this.#onReady())
  }

  /** Lets ssh2 hear the host only once it is our turn. */
  #takeTurn(turn: () => Promise<EndTurn | Failure>): void {
    holdBack(this.#route.stream, () => this.#awaitTurn(turn)).catch((error: unknown) => {
      this.#options.signal.removeEventListener('abort', this.#onAbort)
      this.#state = 'over'
      this.#route.destroy()
      this.#settle.reject(error)
    })
  }

  async #awaitTurn(turn: () => Promise<EndTurn | Failure>): Promise<void> {
    this.#isAwaitingTurn = true
    const given = await turn()
    this.#isAwaitingTurn = false
    if (typeof given !== 'function') return this.#fail(given)
    this.#endTurn = given
    if (this.#state === 'over') given()
    else if (this.#options.signal.aborted) this.#onAbort()
  }

  #connect(): void {
    const { known, keepaliveMs = KEEPALIVE_MS } = this.#options
    this.#client.connect({
      sock: this.#route.stream,
      username: this.#host.user,
      readyTimeout: 0,
      keepaliveInterval: keepaliveMs,
      keepaliveCountMax: KEEPALIVE_COUNT,
      algorithms: algorithmsFor(hostKeyAlgorithms(this.#host, known), this.#host),
      hostVerifier: (key: Buffer) => {
        this.#hostKey = Buffer.from(key)
        this.#hostKeyFailure = refuseHostKey(this.#host, known, key)
        return this.#hostKeyFailure === undefined
      },
      authHandler: () => this.#login.next(),
    })
  }

  /** Tells the log-in what the host says to it, and keeps what both sides offered. ssh2 must have begun. */
  #watchMessages(): void {
    watchMessage(this.#client, 'USERAUTH_FAILURE', (offered, isPartial) => {
      this.#login.hear(Array.isArray(offered) ? offered.map(String) : [], isPartial === true)
      return true
    })
    watchMessage(this.#client, 'USERAUTH_INFO_REQUEST', () => this.#login.countRequest())
    this.#offers = watchOffers(this.#client)
    if (this.#host.credentials.some(isCertified)) takeCertificates(this.#client)
  }

  #enter(phase: DialPhase): void {
    this.#phase = phase
    this.#options.onPhase?.(phase)
  }

  readonly #onAbort = (): void => {
    // The turn obeys the same signal, and says itself that it did not come.
    if (this.#isAwaitingTurn) return
    const tried = this.#phase === 'the log-in' ? `; ${this.#login.outcome().tried}` : ''
    this.#fail(noAnswer(this.#isAgentAsked ? 'the SSH agent' : this.#phase, tried))
  }

  #onError(error: Error): void {
    if (this.#state === 'under way') {
      // The agent or one key did not work: ssh2 goes on with the next credential by itself.
      const isOneAttempt = fieldsOf(error).level === 'agent' || error.message.startsWith('Error signing data')
      if (isOneAttempt) this.#login.note(printable(error.message))
      else this.#fail(this.#explain(error))
      return
    }
    this.#state = 'over'
    // ssh2 only ends its own side, and a broken host would keep the connection half open for ever.
    this.#route.destroy()
  }

  #explain(error: Error): Failure {
    const why = this.#hostKeyFailure ?? explainDialError(error, this.#phase, this.#login.outcome())
    if (why.reason !== 'kex_failed' || this.#offers === undefined) return why
    const { ours, theirs } = this.#offers()
    const mismatch = explainMismatch(ours, theirs, this.#isLegacy)
    return mismatch === undefined ? why : { ...why, detail: `${why.detail}; ${mismatch}` }
  }

  #onClose(): void {
    if (this.#state === 'under way') this.#fail(this.#hostKeyFailure ?? closedEarly(this.#phase))
    this.#state = 'over'
    for (const channel of this.#channels) if (!hasSaidEnd(channel)) this.#cutOff.add(channel)
    this.#route.destroy()
  }

  #onReady(): void {
    const { signal } = this.#options
    if (signal.aborted || this.#state !== 'under way') return
    this.#state = 'ready'
    signal.removeEventListener('abort', this.#onAbort)
    this.#endTurn()
    const { name } = this.#host
    const used = [...this.#legacy, ...(this.#login.hasUsedSha1() ? ['signature ssh-rsa'] : [])]
    this.#settle.resolve({
      ok: true,
      connection: {
        hostName: name,
        client: this.#client,
        hostKey: this.#hostKey,
        reached: this.#reached(this.#address ?? null),
        channels: this.#channels,
        cutOff: this.#cutOff,
        ...(this.#host.env && { env: this.#host.env }),
        isOpen: () => this.#state === 'ready',
        close: () => this.#close(),
        ...(used.length > 0 && { notice: `${name} uses legacy algorithms: ${used.join(', ')}` }),
      },
    })
  }

  #fail(why: Failure): void {
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    this.#state = 'over'
    const reached = this.#address === undefined ? {} : { reached: this.#reached(this.#address) }
    const others = this.#otherHostKeys()
    this.#settle.resolve({
      ...refused({ ...atHost(this.#host, why), ...reached }),
      ...(others.length > 0 && { otherHostKeys: others }),
    })
    this.#route.destroy()
    this.#endTurn()
  }

  #otherHostKeys(): readonly string[] {
    if (this.#hostKeyFailure === undefined || this.#offers === undefined) return []
    const seen = { shown: this.#hostKey, offers: hostKeysIn(this.#offers().theirs) }
    return otherHostKeys(this.#host, this.#options.known, seen)
  }

  #reached(address: string | null): Reached {
    const { port, user, jump } = this.#host
    const isShown = this.#hostKey.length > 0
    return {
      address,
      port,
      jump: jump?.name ?? null,
      host_key: isShown ? fingerprintOf(this.#hostKey) : null,
      user,
      credentials: this.#login.accepted(this.#state === 'ready'),
    }
  }

  #close(): void {
    this.#client.end()
    const timer = setTimeout(() => this.#route.destroy(), CLOSE_GRACE_MS)
    this.#client.once('close', () => clearTimeout(timer))
    timer.unref()
  }

  /**
   * Keeps ssh2 from making OpenSSH prove all its host keys after the log-in: that costs a tenth of a connection, and
   * nobody asks for the result. There is no option; ssh2 leaves it out for servers of other makes, so it is told that
   * this is one. Should the field be renamed, the proof is made again (ssh-connect.test.ts).
   */
  #skipHostKeyProof(): void {
    Reflect.set(this.#client, '_remoteVer', '')
  }
}
