/** Counts presses of Ctrl-C, which then no longer end the process. */
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'

/** Presses of Ctrl-C. */
export type Interrupts = {
  count(): number
  /** Aborts at the next press; already aborted when there was one. */
  signal(): AbortSignal
  /** Waits this long; rejects at the next press. */
  sleep(ms: number): Promise<void>
  /** Whether there is another press within this time. */
  again(ms: number): Promise<boolean>
}

/** Starts to listen for SIGINT. `stop` restores the usual effect of the signal. */
export function listenForInterrupts(): Interrupts & { stop(): void } {
  let count = 0
  const pressed = new AbortController()
  const onPress = () => {
    count += 1
    pressed.abort()
  }
  process.on('SIGINT', onPress)
  return {
    count: () => count,
    signal: () => pressed.signal,
    sleep: async (ms) => {
      if (ms > 0 || pressed.signal.aborted) await setTimeout(ms, undefined, { signal: pressed.signal })
    },
    again: async (ms) => {
      const before = count
      const over = new AbortController()
      // Not AbortSignal.timeout: its timer does not keep the process alive.
      await Promise.race([setTimeout(ms, undefined, over), once(process, 'SIGINT', over)])
      over.abort()
      return count > before
    },
    stop: () => process.off('SIGINT', onPress),
  }
}
