/**
 * How far a dial is, and how long it has waited for what it shares with others: a turn, or the connection to a jump host.
 * Its host cannot help that, so it is not taken from the time that the host has to answer. Waits for nothing itself.
 */
import { type DialPhase, noAnswer } from '../connect/dial-failure.ts'
import { type Failure, failure } from '../verdict/failure.ts'

/** How far one dial is. */
export class DialProgress {
  #phase: DialPhase | undefined
  #pastMs = 0
  #sinceMs: number | undefined

  /** Milliseconds that it has waited, with a wait that is still going on. */
  get waitedMs(): number {
    return this.#pastMs + (this.#sinceMs === undefined ? 0 : performance.now() - this.#sinceMs)
  }

  /** Counts a step, which may wait, as waiting. One at a time. */
  async during<T>(step: () => Promise<T>): Promise<T> {
    this.#sinceMs = performance.now()
    try {
      return await step()
    } finally {
      this.#pastMs = this.waitedMs
      this.#sinceMs = undefined
    }
  }

  /** It has come to this phase. */
  reached(phase: DialPhase): void {
    this.#phase = phase
  }

  /** What to tell those whose time is over while the dial goes on for others. */
  noAnswer(): Failure {
    if (this.#phase !== undefined && this.#sinceMs === undefined) return noAnswer(this.#phase)
    const detail = 'no answer in time: this worker was still waiting for its turn, or for the jump host'
    return failure('conn_timeout', detail, { isHostsFault: false })
  }
}
