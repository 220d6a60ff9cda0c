/**
 * Connections that outlive a run: a caller gets a warm connection to its host where there is one, or waits for a dial.
 *
 *   checkOut → warm and still trusted? → checkout → release → warm → used again, or closed after a while
 *                └ no: jump host → dial → turn → log-in ┘
 *
 * A connection is never used for a log-in that would fail now: it is found by everything the log-in depends on, and its
 * host key is verified again each time. Runs no commands (exec.ts).
 */
import type { KnownHosts } from '@muster/contract'
import { type ConnectResult, refused, type SshConnection, type SshHost } from '../connect/connection.ts'
import { dial, jumpFailure } from '../connect/dial.ts'
import type { DialPhase } from '../connect/dial-failure.ts'
import { refuseHostKey } from '../connect/host-verification.ts'
import type { KnownHostsSource } from '../connect/known-hosts.ts'
import type { EndTurn } from '../connect/log-in.ts'
import { LookUps } from '../connect/look-ups.ts'
import { failure } from '../verdict/failure.ts'
import { type CheckOutOptions, type CheckOutResult, type DialLimits, LoginGroup } from './login-group.ts'
import { loginKey } from './login-key.ts'
import type { Checkout, PooledConnection } from './pooled-connection.ts'
import { RefusedJumps } from './refused-jumps.ts'
import { unlessDead } from './sign-of-life.ts'
import { type TurnOptions, Turns } from './turns.ts'

/** How to run a pool. */
export type PoolOptions = TurnOptions & {
  readonly knownHosts: KnownHostsSource
  /** How long an unused connection stays open; 60 s by default. */
  readonly idleMs?: number
  /** Above this many open connections unused ones are closed, the longest unused first; 500 by default. */
  readonly maxOpen?: number
  /** The age from which on nobody gets a connection any more; 15 minutes by default. */
  readonly maxAgeMs?: number
}

/** A pool of connections. */
export type Pool = {
  /**
   * Checks out a connection to this host. `openedAfterMs`: only one opened later than this (by `performance.now()`), as
   * an older one turned out to be dead.
   */
  checkOut(host: SshHost, options: CheckOutOptions & { readonly openedAfterMs?: number }): Promise<CheckOutResult>
  /** The number of connections: all, and those that nobody uses. */
  counts(): { readonly open: number; readonly idle: number }
  /** Closes all connections; waiters get a failure. */
  close(): void
}

/** Two channels each, one to run a command and one to kill it: below the ten that OpenSSH allows by default. */
const CHECKOUTS_PER_CONNECTION = 4
/** Forwards do not count against what a host allows. */
const FORWARDS_PER_CONNECTION = Number.POSITIVE_INFINITY
const IDLE_MS = 60_000
const MAX_OPEN = 500
/** A key may be removed from an account, or an account locked, while its open connections go on. */
const MAX_AGE_MS = 900_000
/** How long a warm jump host may take to give a sign of life. */
const JUMP_ANSWER_MS = 3_000

/** Opens a pool; nothing is dialled yet. */
export function openPool(options: PoolOptions): Pool {
  return new ConnectionPool(options)
}

class ConnectionPool implements Pool {
  readonly #options: PoolOptions
  readonly #turns: Turns
  readonly #lookUps = new LookUps()
  readonly #refusedJumps = new RefusedJumps()
  readonly #groups = new Map<string, LoginGroup>()
  readonly #open = new Set<PooledConnection>()
  /** Unused connections with the timers that will close them, the longest unused first. */
  readonly #idle = new Map<PooledConnection, NodeJS.Timeout>()
  #isClosed = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.#turns = new Turns(options)
  }

  async checkOut(
    host: SshHost,
    options: CheckOutOptions & { readonly openedAfterMs?: number },
  ): Promise<CheckOutResult> {
    return await this.#checkOut(loginKey(host), CHECKOUTS_PER_CONNECTION, host, options)
  }

  counts(): { open: number; idle: number } {
    return { open: this.#open.size, idle: this.#idle.size }
  }

  close(): void {
    this.#isClosed = true
    this.#lookUps.close()
    for (const group of this.#groups.values()) group.close()
  }

  async #checkOut(
    key: string,
    limit: number,
    host: SshHost,
    options: CheckOutOptions & { readonly openedAfterMs?: number },
  ): Promise<CheckOutResult> {
    const known = await this.#knownOnTheWay(host)
    if (this.#isClosed) return refused(failure('conn_lost', `stopped before ${host.name} was reached`))
    const group = this.#groups.get(key) ?? this.#newGroup(key, limit, host.isForOneRun === true)
    for (const pooled of group.connections) {
      const isSuspect = pooled.openedMs <= (options.openedAfterMs ?? 0)
      if (isSuspect || !isTrusted(pooled.connection, host, known)) pooled.retire()
    }
    // Added again, as it may just have lost its last connection.
    this.#groups.set(key, group)
    const checkout = group.checkOut()
    return checkout === undefined ? await group.wait(host, options) : { ok: true, checkout }
  }

  /** What is known for the host, then for the one before it, and so on. */
  async #knownOnTheWay(host: SshHost): Promise<KnownHosts[]> {
    const known = await this.#options.knownHosts.read(host.knownHostsFiles)
    return host.jump === undefined ? [known] : [known, ...(await this.#knownOnTheWay(host.jump))]
  }

  #newGroup(key: string, limit: number, isForOneRun: boolean): LoginGroup {
    return new LoginGroup({
      limit,
      isForOneRun,
      maxAgeMs: this.#options.maxAgeMs ?? MAX_AGE_MS,
      dial: (host, options) => this.#dial(host, limit === FORWARDS_PER_CONNECTION, options),
      onChange: (connection) => this.#keepOrClose(connection),
      onEmpty: () => this.#groups.delete(key),
    })
  }

  /** Dials a host, through its jump host where it has one. A warm connection to it that has died is replaced once. */
  async #dial(host: SshHost, isJump: boolean, limits: DialLimits): Promise<ConnectResult> {
    const { jump } = host
    if (jump === undefined) return await this.#handshake(host, isJump, undefined, limits)
    for (let openedAfterMs = 0; ; ) {
      const reached = await limits.progress.during(() => this.#reachJump(jump, { ...limits, openedAfterMs }))
      if (!reached.ok) {
        // Given up because the waiters' time is over; that says nothing about the jump host.
        const why = limits.signal.aborted ? failure('conn_timeout', 'it was not reached in time') : reached
        return refused(jumpFailure(jump, why))
      }
      const { checkout } = reached
      const { result, isDead } = await unlessDead(
        checkout.connection,
        { withinMs: JUMP_ANSWER_MS, signal: limits.signal },
        (signal) => this.#handshake(host, isJump, checkout, { ...limits, signal }),
      )
      const isStale = isDead || !checkout.connection.isOpen()
      if (result.ok || !isStale) return result
      if (!checkout.isWarm || openedAfterMs > 0) return { ...result, isHostsFault: false }
      openedAfterMs = checkout.sinceMs
    }
  }

  /** Checks out the connection to a jump host, unless it has just refused us. */
  async #reachJump(
    jump: SshHost,
    options: CheckOutOptions & { readonly openedAfterMs: number },
  ): Promise<CheckOutResult> {
    const key = `jump ${loginKey(jump)}`
    const known = await this.#options.knownHosts.read(jump.knownHostsFiles)
    const refusal = this.#refusedJumps.find(key, known)
    if (refusal !== undefined) return refused(refusal)
    const reached = await this.#checkOut(key, FORWARDS_PER_CONNECTION, jump, options)
    // The key of a run is never seen again.
    if (!reached.ok && jump.isForOneRun !== true) this.#refusedJumps.note(key, known, reached)
    return reached
  }

  /**
   * One handshake. Its turn comes when the host has answered, so that silent hosts delay nobody. With a jump host the
   * turn comes before, as its sshd counts connections that have not logged in yet.
   */
  async #handshake(
    host: SshHost,
    isJump: boolean,
    hop: Checkout | undefined,
    { fairKey, signal, progress }: DialLimits,
  ): Promise<ConnectResult> {
    let end: EndTurn = () => {}
    let isHandedOn = false
    try {
      if (isJump) {
        const given = await progress.during(() => this.#turns.withJump(host.name, { fairKey, signal }))
        if (typeof given !== 'function') return refused(given)
        end = given
      }
      const known = await this.#options.knownHosts.read(host.knownHostsFiles)
      const turn = () => progress.during(() => this.#turns.enter(hop?.connection.hostName, { fairKey, signal }))
      isHandedOn = true
      const onPhase = (phase: DialPhase) => progress.reached(phase)
      const options = { known, lookUps: this.#lookUps, signal, turn, onPhase }
      return await dial(host, hop && { ...hop.connection, close: hop.release }, options)
    } finally {
      end()
      if (!isHandedOn) hop?.release()
    }
  }

  /** Starts or stops a connection's idle timer, and closes the longest unused connections if there are too many. */
  #keepOrClose(pooled: PooledConnection): void {
    clearTimeout(this.#idle.get(pooled))
    this.#idle.delete(pooled)
    if (pooled.isOver) this.#open.delete(pooled)
    else this.#open.add(pooled)
    if (!pooled.isUsable || pooled.checkouts > 0) return
    const timer = setTimeout(() => pooled.retire(), this.#options.idleMs ?? IDLE_MS)
    timer.unref()
    this.#idle.set(pooled, timer)
    let excess = this.#open.size - (this.#options.maxOpen ?? MAX_OPEN)
    for (const [longestUnused] of this.#idle) {
      if (excess <= 0) return
      excess -= 1
      longestUnused.retire()
    }
  }
}

/** Whether the host keys of the connection, and of all it goes through, would be accepted now. */
function isTrusted({ hostKey, hop }: SshConnection, host: SshHost, [known, ...before]: KnownHosts[]): boolean {
  if (known === undefined || refuseHostKey(host, known, hostKey) !== undefined) return false
  return host.jump === undefined || (hop !== undefined && isTrusted(hop, host.jump, before))
}
