/**
 * Caches the output groups of jobs: gathering them reads every run of a job, and agents ask again and again for jobs
 * that no longer change. Bounded by memory, not by number; the entry unused for longest goes first.
 */
import type { AnswerOutput } from '@muster/contract'

/** Most memory, counted as two bytes for each character kept. */
const LIMIT_BYTES = 8 * 1024 * 1024

/** The cached groups of jobs. */
export type GroupCache = {
  /**
   * The groups kept under `key`. If there are none, `make` makes them, once for all who ask at the same time. The key
   * must change whenever the groups may.
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
    // A Map iterates in the order of insertion.
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
