/**
 * All connections of one login, and all callers that wait for one: they share the connections, and as few dials as
 * possible. Each waiter has a clock of its own, and may leave at any time; a dial that nobody waits for is given up.
 *
 * Does not dial itself; pool.ts decides how long a connection is kept.
 */
import {
  atHost,
  type ConnectResult,
  type Refused,
  refused,
  type SshConnection,
  type SshHost,
} from '../connect/connection.ts'
import { causeOfAbort, type Failure, failure } from '../verdict/failure.ts'
import { DialProgress } from './dial-progress.ts'
import { type Checkout, PooledConnection } from './pooled-connection.ts'

/** How to wait for a connection. */
export type CheckOutOptions = {
  /**
   * For the dial, whoever started it. Time that the dial waits for a turn or a jump host is added, at most as much
   * again.
   */
  readonly timeoutMs: number
  /** Gives up, as in `ConnectOptions`. */
  readonly signal: AbortSignal
  /** The ID of the job. Turns to dial go round between jobs. */
  readonly fairKey: string
}

/** A checkout, or why there is none. */
export type CheckOutResult = { readonly ok: true; readonly checkout: Checkout } | Refused

/** The limits of one dial. */
export type DialLimits = {
  readonly fairKey: string
  /** The time left to the most patient of its waiters. */
  readonly timeoutMs: number
  /** Gives up the dial. */
  readonly signal: AbortSignal
  /** Records each phase, and the time in which the host itself is not asked. */
  readonly progress: DialProgress
}

/** What a group needs, and what it reports. */
export type GroupOptions = {
  /** Checkouts of one connection at once; the group lowers it to what the host allows. */
  readonly limit: number
  readonly maxAgeMs: number
  /** Whether a connection is closed as soon as its first user gives it back. */
  readonly isForOneRun: boolean
  readonly dial: (host: SshHost, limits: DialLimits) => Promise<ConnectResult>
  /** A connection is new, was checked out, was given back, or has ended. */
  readonly onChange: (connection: PooledConnection) => void
  /** The group has no connection, no waiter and no dial any more. */
  readonly onEmpty: () => void
}

/** How soon a waiter's clock is checked again, at the earliest. */
const LOOK_AGAIN_MS = 50

type Waiter = {
  readonly host: SshHost
  readonly fairKey: string
  readonly timeoutMs: number
  /** By `performance.now()`; its time ends later if its dial has to wait. */
  readonly deadlineMs: number
  /** Whether its time is over and it only waits to learn how far the dial got. */
  isExpired: boolean
  settle(result: CheckOutResult): void
  reject(error: unknown): void
}

/** The connections of one login. */
export class LoginGroup {
  readonly #options: GroupOptions
  #limit: number
  readonly #connections = new Set<PooledConnection>()
  readonly #waiters = new Set<Waiter>()
  /** The dials under way, the oldest first: how to give each up, and its progress. */
  readonly #dials = new Map<AbortController, DialProgress>()

  constructor(options: GroupOptions) {
    this.#options = options
    this.#limit = options.limit
  }

  /** All connections, for the pool to look at. */
  get connections(): readonly PooledConnection[] {
    return [...this.#connections]
  }

  /** Checks out an existing connection; undefined if none is free. */
  checkOut(): Checkout | undefined {
    for (const connection of this.#connections) {
      if (connection.isUsable && connection.checkouts < this.#limit) return connection.checkOut()
    }
    return undefined
  }

  /** Waits for a checkout. Rejects with an error of the dial. */
  wait(host: SshHost, { timeoutMs, signal, fairKey }: CheckOutOptions): Promise<CheckOutResult> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        this.#waiters.delete(waiter)
      }
      const waiter: Waiter = {
        host,
        fairKey,
        timeoutMs,
        deadlineMs: performance.now() + timeoutMs,
        isExpired: false,
        settle: (result) => {
          leave()
          resolve(result)
        },
        reject: (error) => {
          leave()
          reject(error)
        },
      }
      const onAbort = () => {
        waiter.settle(refused(failure(causeOfAbort(signal), `stopped before ${host.name} was reached`)))
        this.#endNeedlessDials()
      }
      let addedMs = 0
      const onTime = () => {
        const [oldest] = this.#dials
        const owedMs = Math.min(timeoutMs, oldest?.[1].waitedMs ?? 0) - addedMs
        if (owedMs <= 0) return this.#expire(waiter)
        const moreMs = Math.max(owedMs, LOOK_AGAIN_MS)
        addedMs += moreMs
        timer = setTimeout(onTime, moreMs)
      }
      let timer = setTimeout(onTime, timeoutMs)
      signal.addEventListener('abort', onAbort)
      this.#waiters.add(waiter)
      if (signal.aborted) onAbort()
      else this.#serve()
    })
  }

  /** Closes everything; waiters get a failure. */
  close(): void {
    for (const waiter of this.#waiters) {
      waiter.settle(refused(failure('conn_lost', `stopped before ${waiter.host.name} was reached`)))
    }
    this.#endNeedlessDials()
    for (const pooled of this.#connections) {
      pooled.retire()
      pooled.connection.close()
    }
  }

  /**
   * The waiter's time is over. A dial that others wait for goes on: an impatient caller must not take it from them.
   * Else the dial is given up, and reports how far it got.
   */
  #expire(waiter: Waiter): void {
    const [oldest] = this.#dials
    waiter.isExpired = true
    const patient = [...this.#waiters].filter(({ isExpired }) => !isExpired).length
    if (oldest !== undefined && this.#dialsFor(patient) < this.#dials.size) {
      oldest[0].abort()
      return
    }
    const why = atHost(waiter.host, (oldest?.[1] ?? new DialProgress()).noAnswer())
    waiter.settle(refused(withLimit(why, waiter)))
  }

  /** Gives the free connections to waiters, and dials for the rest. */
  #serve(): void {
    for (const waiter of this.#waiters) {
      const checkout = this.checkOut()
      if (checkout === undefined) break
      waiter.settle({ ok: true, checkout })
    }
    const waiting = [...this.#waiters].filter((waiter) => !waiter.isExpired)
    const last = waiting.at(-1)
    const deadlineMs = Math.max(...waiting.map((waiter) => waiter.deadlineMs))
    while (last !== undefined && this.#dials.size < this.#dialsFor(waiting.length)) this.#start(last, deadlineMs)
  }

  #dialsFor(waiting: number): number {
    return waiting === 0 ? 0 : Math.max(1, Math.ceil(waiting / this.#limit))
  }

  #endNeedlessDials(): void {
    const needless = this.#dials.size - this.#dialsFor(this.#waiters.size)
    if (needless > 0) for (const giveUp of [...this.#dials.keys()].slice(-needless)) giveUp.abort()
  }

  #start({ host, fairKey }: Waiter, deadlineMs: number): void {
    const giveUp = new AbortController()
    const progress = new DialProgress()
    this.#dials.set(giveUp, progress)
    const timeoutMs = Math.max(1, deadlineMs - performance.now())
    this.#options.dial(host, { fairKey, timeoutMs, signal: giveUp.signal, progress }).then(
      (result) => {
        this.#dials.delete(giveUp)
        if (result.ok) this.#add(result.connection)
        else this.#onFailure(result, giveUp.signal.aborted, deadlineMs)
        this.#tellIfEmpty()
      },
      (error: unknown) => {
        this.#dials.delete(giveUp)
        for (const waiter of this.#waiters) waiter.reject(error)
        this.#tellIfEmpty()
      },
    )
  }

  #add(connection: SshConnection): void {
    const pooled = new PooledConnection(connection, this.#options, {
      onCheckedOut: () => this.#options.onChange(pooled),
      onFree: () => {
        if (pooled.isOver) this.#connections.delete(pooled)
        this.#serve()
        this.#options.onChange(pooled)
        this.#tellIfEmpty()
      },
      onRefused: (others) => {
        this.#limit = Math.max(1, Math.min(this.#limit, others))
      },
    })
    this.#connections.add(pooled)
    this.#serve()
    this.#options.onChange(pooled)
  }

  #onFailure(result: Refused, wasGivenUp: boolean, deadlineMs: number): void {
    for (const waiter of this.#waiters) if (waiter.isExpired) waiter.settle(refused(withLimit(result, waiter)))
    if (!wasGivenUp) {
      const isLate = performance.now() >= deadlineMs
      // Those for whom this dial was made; the others have dials under way.
      const served = this.#dials.size === 0 ? 0 : this.#dials.size * this.#limit
      for (const waiter of [...this.#waiters].slice(0, Math.max(0, this.#waiters.size - served))) {
        // A waiter that came later, with more time, gets another dial.
        if (!isLate || waiter.deadlineMs <= deadlineMs) waiter.settle(result)
      }
    }
    this.#serve()
  }

  #tellIfEmpty(): void {
    if (this.#connections.size + this.#waiters.size + this.#dials.size === 0) this.#options.onEmpty()
  }
}

function withLimit(why: Failure, { timeoutMs }: Waiter): Failure {
  return { ...why, detail: `${why.detail} (limit ${Math.round(timeoutMs / 100) / 10} s)` }
}
