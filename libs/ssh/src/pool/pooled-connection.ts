/**
 * One connection of the pool and its checkouts: as many at once as its login's limit allows. It is warm in between, and
 * closed once it is retired and nobody uses it. Does not dial, and does not decide who gets it.
 */
import type { ClientChannel } from 'ssh2'
import type { SshConnection } from '../connect/connection.ts'
import { withinMs } from '../verdict/within-ms.ts'
import { watchIdleTalk } from './idle-talk.ts'

/** The right to run one command on a connection, and to kill it there. */
export type Checkout = {
  /** Its `close` ends the checkout too, and nobody gets the connection after that. */
  readonly connection: SshConnection
  /** Whether the connection was used before: the host may have gone since, without a word. */
  readonly isWarm: boolean
  /** When it was checked out, by `performance.now()`: connections older than that may be dead with the host. */
  readonly sinceMs: number
  /** Gives the connection back. It is used again if all channels of the checkout have closed on both sides. */
  release(): void
  /**
   * Gives it back because the host refused a channel: it is not asked for that many on one connection again. False if
   * nobody else used the connection, so that their number was not the reason.
   */
  releaseRefused(): boolean
}

/** What a connection reports. */
export type PooledEvents = {
  readonly onCheckedOut: () => void
  /** A checkout has ended, or the connection. */
  readonly onFree: () => void
  /** The host refused a channel while this many others used the connection; at least one. */
  readonly onRefused: (others: number) => void
}

/** How long the host may take to close the channels of a command that has ended. */
const CHANNELS_CLOSE_MS = 1_000

/** A connection that the pool keeps. */
export class PooledConnection {
  readonly connection: SshConnection
  readonly #events: PooledEvents
  #checkouts = 0
  #isUsed = false
  #isRetired = false
  /** When the log-in was over, by `performance.now()`. */
  readonly openedMs = performance.now()
  readonly #aging: NodeJS.Timeout

  readonly #isForOneRun: boolean

  /** @param limits how old it may get, as a log-in that was allowed once may no longer be; and whether it is kept */
  constructor(
    connection: SshConnection,
    limits: { readonly maxAgeMs: number; readonly isForOneRun: boolean },
    events: PooledEvents,
  ) {
    this.connection = connection
    this.#isForOneRun = limits.isForOneRun
    this.#events = events
    this.#aging = setTimeout(() => this.retire(), limits.maxAgeMs)
    this.#aging.unref()
    connection.client.once('close', () => this.retire())
    watchIdleTalk(
      connection.client,
      () => this.#checkouts === 0,
      () => this.retire(),
    )
  }

  /** How many use it now. */
  get checkouts(): number {
    return this.#checkouts
  }

  /** Whether it may be checked out. */
  get isUsable(): boolean {
    return !this.#isRetired && this.connection.isOpen()
  }

  /** Whether nobody will use it any more. */
  get isOver(): boolean {
    return this.#isRetired && this.#checkouts === 0
  }

  /** Checks it out. */
  checkOut(): Checkout {
    const channels = new Set<ClientChannel>()
    const isWarm = this.#isUsed
    const sinceMs = performance.now()
    let isOver = false
    this.#isUsed = true
    this.#checkouts += 1
    this.#events.onCheckedOut()
    const end = (isClean: boolean) => {
      if (isOver) return
      isOver = true
      if (isClean && channels.size > 0) void closedOnBothSides(channels).then((isClosed) => this.#end(isClosed))
      else this.#end(isClean)
    }
    return {
      connection: { ...this.connection, channels, close: () => end(false) },
      isWarm,
      sinceMs,
      release: () => end(true),
      releaseRefused: () => {
        const others = this.#checkouts - 1
        if (others > 0) this.#events.onRefused(others)
        end(others > 0)
        return others > 0
      },
    }
  }

  /** Lets nobody have it any more, and closes it once its users are done. */
  retire(): void {
    if (this.#isRetired) return
    this.#isRetired = true
    this.#closeIfOver()
    this.#events.onFree()
  }

  #end(isClean: boolean): void {
    this.#checkouts -= 1
    if (!isClean || this.#isForOneRun) this.#isRetired = true
    this.#closeIfOver()
    this.#events.onFree()
  }

  #closeIfOver(): void {
    if (!this.isOver) return
    clearTimeout(this.#aging)
    this.connection.close()
  }
}

/** Whether all of them are closed on both sides, which is so when nothing on the host holds one. */
async function closedOnBothSides(channels: ReadonlySet<ClientChannel>): Promise<boolean> {
  const closing = [...channels].map((channel) => new Promise((resolve) => channel.once('close', resolve)))
  await withinMs(
    CHANNELS_CLOSE_MS,
    Promise.all(closing).then(() => {}),
  )
  return channels.size === 0
}
