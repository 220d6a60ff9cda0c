/** Takes a step again and again, by the monotonic clock of the process, so that setting its date changes nothing. */

/** The pause after a step that failed. */
const AFTER_FAULT_MS = 1_000

/** Steps that are taken until they are stopped. */
export type Repeated = {
  /** Takes no further step. Does not wait for the step under way. */
  stop(): void
}

/**
 * Takes a step now. It resolves with the number of milliseconds until the next one. `onError` hears of a step that
 * fails, but of the same error again only after a step that went well.
 */
export function repeat(step: () => Promise<number>, onError: (error: Error) => void): Repeated {
  let timer: NodeJS.Timeout | undefined
  let isStopped = false
  let told = ''
  const take = async () => {
    let pauseMs = AFTER_FAULT_MS
    try {
      pauseMs = await step()
      told = ''
    } catch (fault) {
      const error = fault instanceof Error ? fault : new Error(String(fault))
      if (!isStopped && error.message !== told) onError(error)
      told = error.message
    }
    if (!isStopped) timer = setTimeout(() => void take(), pauseMs)
  }
  void take()
  return {
    stop: () => {
      isStopped = true
      clearTimeout(timer)
    },
  }
}
