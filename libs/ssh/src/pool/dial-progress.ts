/**
 * How far a dial is, and how long it has waited for what it shares with others: a turn, or the connection to a jump
 * host. That is not the host's doing, so it does not count against the host's time to answer. Waits for nothing itself.
 */
import { type DialPhase, noAnswer } from '../connect/dial-failure.ts'
import { type Failure, failure } from '../verdict/failure.ts'

/** The progress of one dial. */
export class DialProgress {
  #phase: DialPhase | undefined
  #pastMs = 0
  #sinceMs: number | undefined

  /** Milliseconds it has waited so far, a wait still going on included. */
  get waitedMs(): number {
    return this.#pastMs + (this.#sinceMs === undefined ? 0 : performance.now() - this.#sinceMs)
  }

  /** Counts the time of this step as waiting. One step at a time. */
  async during<T>(step: () => Promise<T>): Promise<T> {
    this.#sinceMs = performance.now()
    try {
      return await step()
    } finally {
      this.#pastMs = this.waitedMs
      this.#sinceMs = undefined
    }
  }

  /** Records that the dial has come to this phase. */
  reached(phase: DialPhase): void {
    this.#phase = phase
  }

  /** The failure of those whose time is over while the dial goes on for others. */
  noAnswer(): Failure {
    if (this.#phase !== undefined && this.#sinceMs === undefined) return noAnswer(this.#phase)
    const detail = 'no answer in time: this worker was still waiting for its turn, or for the jump host'
    return failure('conn_timeout', detail, { isHostsFault: false })
  }
}
