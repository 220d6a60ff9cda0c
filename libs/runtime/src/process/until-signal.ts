/**
 * Waits for signals that ask the process to end. It does not end the process; callers decide what a signal means.
 */
import { constants } from 'node:os'

/** A signal that asks a program to end: SIGTERM of a supervisor, SIGINT or SIGHUP of a terminal. */
export type EndSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP'

/** Options of {@link untilSignal}. */
export interface UntilSignalOptions {
  /** Default SIGTERM and SIGINT. */
  signals?: readonly EndSignal[]
  /** Called with the second signal and its usual exit status, 128 + its number: somebody is in a hurry. */
  onSecond: (signal: EndSignal, exitStatus: number) => void
  /** Stops listening. If no signal has come by then, the promise rejects with its reason. */
  abort: AbortSignal
}

/**
 * Resolves with the first signal. Keeps listening for a second one until `abort`, so that the default action, instant
 * death, stays off during an orderly end.
 */
export function untilSignal({
  signals = ['SIGTERM', 'SIGINT'],
  onSecond,
  abort,
}: UntilSignalOptions): Promise<EndSignal> {
  return new Promise((resolve, reject) => {
    let isFirst = true
    const listener = (signal: NodeJS.Signals): void => {
      const expected = signals.find((name) => name === signal)
      if (expected === undefined) return
      if (isFirst) resolve(expected)
      else onSecond(expected, 128 + constants.signals[expected])
      isFirst = false
    }
    const stop = (): void => {
      for (const signal of signals) process.off(signal, listener)
      reject(abort.reason)
    }
    if (abort.aborted) {
      stop()
      return
    }
    for (const signal of signals) process.on(signal, listener)
    abort.addEventListener('abort', stop, { once: true })
  })
}
