/**
 * Asking Redis again until it takes what it is offered. A worker holds the results of commands that have already run:
 * a Redis that is read-only or being repaired must not make it drop them. Output is the exception, as waiting for room
 * must not hold up a command; a full Redis still takes the end of a run.
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

/** Waits a moment for room in Redis. False: the time is used up, so the output must not be offered again. */
export type RoomWait = () => Promise<boolean>

/** The wait of one run. It is over when `signal` aborts: whoever stops a run wants to hear of its end. */
export function createRoomWait(signal: AbortSignal): RoomWait {
  let leftMs = ROOM_WAIT_MS
  return async () => {
    if (leftMs <= 0 || signal.aborted) return false
    leftMs -= RETRY_EVERY_MS
    await setTimeout(RETRY_EVERY_MS, undefined, { signal }).catch(() => {})
    return true
  }
}
