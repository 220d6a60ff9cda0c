/** Something that a process does again and again, by its monotonic clock: setting its date changes nothing. */

/** Between a step that failed and the next. */
const AFTER_FAULT_MS = 1_000

/** Something that goes on until it is stopped. */
export type Repeated = {
  /** Begins no further step. One that is under way ends by itself, and is not waited for. */
  stop(): void
}

/**
 * Takes a step now, and the next so many milliseconds after it as it resolves with. `onError` is told of a step that
 * fails, but not of the same again until one has gone well.
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
