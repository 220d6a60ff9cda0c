/**
 * Remembers what jobs have printed, as it is answered: gathering reads every run of a job, and an agent asks again and
 * again for one that does not change any more. Bounded by memory, not by number; what was not asked for longest goes.
 */
import type { AnswerOutput } from '@muster/contract'

/** Most memory, counted as the characters of what is kept, at two bytes each. */
const LIMIT_BYTES = 8 * 1024 * 1024

/** The groups of jobs. */
export type GroupCache = {
  /**
   * Those kept under `key`, or those that `make` makes, once for all who ask at the same time. The key must be another
   * one whenever they can be others.
   */
  get(key: string, make: () => Promise<AnswerOutput>): Promise<AnswerOutput>
}

/** An empty cache. */
export function createGroupCache(limitBytes = LIMIT_BYTES): GroupCache {
  const kept = new Map<string, { output: AnswerOutput; bytes: number }>()
  const underway = new Map<string, Promise<AnswerOutput>>()
  let bytes = 0

  const keep = (key: string, output: AnswerOutput) => {
    const entry = { output, bytes: 2 * (key.length + JSON.stringify(output).length) }
    kept.set(key, entry)
    bytes += entry.bytes
    // A Map goes through its keys in the order in which they came.
    for (const [oldest, { bytes: size }] of kept) {
      if (bytes <= limitBytes) break
      kept.delete(oldest)
      bytes -= size
    }
  }

  return {
    get: async (key, make) => {
      const found = kept.get(key)
      if (found !== undefined) {
        kept.delete(key)
        kept.set(key, found)
        return found.output
      }
      const made = underway.get(key)
      if (made !== undefined) return made
      const making = make()
      underway.set(key, making)
      try {
        const output = await making
        keep(key, output)
        return output
      } finally {
        underway.delete(key)
      }
    },
  }
}
