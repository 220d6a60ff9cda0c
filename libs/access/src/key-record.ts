/** API keys as Redis holds them: in one hash, by key ID, each as its digest. The text of a key is never in there. */
import { MusterError } from '@muster/contract'
import type { Ledger } from '@muster/ledger'
import { z } from 'zod'
import { digestOf } from './key-text.ts'

/** A stored key. `given`: an operator chose it by MUSTER_API_KEY; `made`: the server made it. */
export const KeyRecord = z.object({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  source: z.enum(['made', 'given']),
  created_at: z.iso.datetime(),
})
export type KeyRecord = z.infer<typeof KeyRecord>

/** The record of a new key. `now` is only for people to read. */
export function recordOf(key: string, source: KeyRecord['source'], now: Date): KeyRecord {
  return { sha256: digestOf(key).toString('hex'), source, created_at: now.toISOString() }
}

/**
 * The record of a key ID. Undefined when there is none.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRecord(ledger: Ledger, keyId: string): Promise<KeyRecord | undefined> {
  const text = await asking(() => ledger.redis.hget(ledger.keys.apiKeys, keyId))
  return text === null ? undefined : KeyRecord.parse(JSON.parse(text))
}

/**
 * Asks Redis for something about keys; an answer that does not come is our own fault with the code for it.
 * @throws {MusterError} ledger_unavailable
 */
export async function asking<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question()
  } catch (error) {
    throw new MusterError(
      'ledger_unavailable',
      'Redis is away or did not answer in time, so no API key can be checked',
      {
        cause: error,
      },
    )
  }
}
