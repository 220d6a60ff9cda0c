/**
 * Repeats a step in Redis until Redis takes it. A worker holds the results of commands that have already run, and must
 * not drop them because Redis is read-only or under repair. Output is the exception: waiting for room must not hold up
 * a command for long. The end of a run needs no such limit, because even a full Redis takes it.
 */
import { setTimeout } from 'node:timers/promises'

const RETRY_EVERY_MS = 1_000
/** How long the output of one run waits for room in Redis, in total. */
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

/** Waits a moment for room in Redis. Resolves to false when the time is used up: then do not offer the output again. */
export type RoomWait = () => Promise<boolean>

/** The wait of one run. Aborting `signal` uses up the time, so that a run being stopped ends soon. */
export function createRoomWait(signal: AbortSignal): RoomWait {
  let leftMs = ROOM_WAIT_MS
  return async () => {
    if (leftMs <= 0 || signal.aborted) return false
    leftMs -= RETRY_EVERY_MS
    await setTimeout(RETRY_EVERY_MS, undefined, { signal }).catch(() => {})
    return true
  }
}
