/**
 * How long a dial has waited for what it shares with others: a turn, or the connection to a jump host. Its host cannot
 * help that, so it is not taken from the time that the host has to answer. Waits for nothing itself.
 */

/** The time that one dial has waited so far. */
export class DialWait {
  #pastMs = 0
  #sinceMs: number | undefined

  /** Milliseconds, with a wait that is still going on. */
  get ms(): number {
    return this.#pastMs + (this.#sinceMs === undefined ? 0 : performance.now() - this.#sinceMs)
  }

  /** Counts a step, which may wait, as waiting. One at a time. */
  async during<T>(step: () => Promise<T>): Promise<T> {
    this.#sinceMs = performance.now()
    try {
      return await step()
    } finally {
      this.#pastMs = this.ms
      this.#sinceMs = undefined
    }
  }
}
