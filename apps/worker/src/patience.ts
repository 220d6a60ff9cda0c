/**
 * Asking Redis again until it takes what it is given. A worker holds the results of commands that have run already:
 * a Redis that is full, read-only or being repaired must not make it drop them.
 */
import { setTimeout } from 'node:timers/promises'

const RETRY_EVERY_MS = 1_000

/** Repeats `step` every second until it resolves. Rejects with its error once `signal` has aborted. */
export async function patiently<T>(
  step: () => Promise<T>,
  options: { signal: AbortSignal; onError: (error: unknown) => void },
): Promise<T> {
  for (;;) {
    try {
      return await step()
    } catch (error) {
      if (options.signal.aborted) throw error
      options.onError(error)
      await setTimeout(RETRY_EVERY_MS, undefined, { signal: options.signal }).catch(() => {})
    }
  }
}
