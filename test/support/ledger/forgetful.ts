/** A Redis that forgets, as after a failover or with a torn log: keys are put back to what they were before. */
import type { Ledger } from '@muster/ledger'

/** What some keys held at a time. */
export type Memory = {
  /** Puts the keys back to what they held; those that were not there are gone. */
  restore(): Promise<void>
}

/** Takes note of what these keys hold. */
export async function takeMemory(redis: Ledger['redis'], names: readonly string[]): Promise<Memory> {
  const values = await Promise.all(names.map((name) => redis.dumpBuffer(name)))
  return {
    restore: async () => {
      const step = redis.multi().del(...names)
      names.forEach((name, i) => {
        const value = values[i]
        if (value != null) step.restore(name, 0, value)
      })
      await step.exec()
    },
  }
}
