/**
 * Asking Redis again until it takes what it is given. A worker holds the results of commands that have run already:
 * a Redis that is read-only or being repaired must not make it drop them. Output alone is not waited for without end: a
 * full Redis takes the end of a run, and must not hold up a command.
 */
import { setTimeout } from 'node:timers/promises'

const RETRY_EVERY_MS = 1_000
/** How long the output of one run waits for room in Redis, all in all. */
const ROOM_WAIT_MS = 10_000

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

/** Waits a moment for room in Redis; answers whether to offer the output again. It is never to be waited for after a no. */
export type RoomWait = () => Promise<boolean>

/** The patience of one run. It is over when `signal` aborts: who stops a run wants to hear of its end. */
export function createRoomWait(signal: AbortSignal): RoomWait {
  let leftMs = ROOM_WAIT_MS
  return async () => {
    if (leftMs <= 0 || signal.aborted) return false
    leftMs -= RETRY_EVERY_MS
    await setTimeout(RETRY_EVERY_MS, undefined, { signal }).catch(() => {})
    return true
  }
}
