/**
 * Decides whose turn it is to make a handshake: a limited number at once, round and round between the jobs, so that a
 * job on one host does not wait behind the ten thousand of another. Does not dial.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { EndTurn } from '../connect/log-in.ts'

/** Spreads the beginnings of handshakes that would come in one burst; the first of an idle queue goes at once. */
const JITTER_MS = 25

/** Turns, shared fairly between jobs. */
export class DialQueue {
  readonly #limit: number
  /** Who waits, by job; the first entry is next. */
  readonly #waiting = new Map<string, Set<() => void>>()
  #running = 0

  /** @param limit turns at once */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Waits for a turn. Undefined: the signal aborted before it came. */
  async enter(fairKey: string, signal: AbortSignal): Promise<EndTurn | undefined> {
    if (signal.aborted) return undefined
    if (this.#running >= this.#limit) return await this.#wait(fairKey, signal)
    const isAlone = this.#running === 0
    this.#running += 1
    const end = this.#turn()
    if (isAlone) return end
    await sleep(Math.random() * JITTER_MS, undefined, { signal }).catch(() => {})
    if (!signal.aborted) return end
    end()
    return undefined
  }

  #wait(fairKey: string, signal: AbortSignal): Promise<EndTurn | undefined> {
    return new Promise((resolve) => {
      const mine = this.#waiting.get(fairKey) ?? new Set<() => void>()
      this.#waiting.set(fairKey, mine)
      const onAbort = () => {
        mine.delete(onTurn)
        if (mine.size === 0) this.#waiting.delete(fairKey)
        resolve(undefined)
      }
      const onTurn = () => {
        signal.removeEventListener('abort', onAbort)
        resolve(this.#turn())
      }
      mine.add(onTurn)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  #turn(): EndTurn {
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#pass()
    }
  }

  /** Passes a turn on to the next waiter of the next job. */
  #pass(): void {
    for (const [fairKey, waiting] of this.#waiting) {
      this.#waiting.delete(fairKey)
      const [next] = waiting
      if (next === undefined) continue
      waiting.delete(next)
      if (waiting.size > 0) this.#waiting.set(fairKey, waiting)
      next()
      return
    }
    this.#running -= 1
  }
}
