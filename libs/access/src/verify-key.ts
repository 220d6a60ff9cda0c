/**
 * Checks the API keys that come with requests against the stored digests.
 *
 * A record is remembered for a second, so that a busy caller costs no round trip per request; a key that is taken
 * out of Redis is refused after that second everywhere.
 */
import { timingSafeEqual } from 'node:crypto'
import type { Ledger } from '@muster/ledger'
import { type KeyRecord, readRecord } from './key-record.ts'
import { digestOf, parseKey } from './key-text.ts'

const REMEMBER_MS = 1_000
/** Bounds the memory; above it everything is forgotten and looked up again. */
const REMEMBER_LIMIT = 1_000

/** Checks keys for one server. */
export type KeyStore = {
  /**
   * Whose key this is. Undefined for a text that is no key, or an unknown or revoked one.
   * @throws {MusterError} ledger_unavailable
   */
  verifyKey(text: string): Promise<{ keyId: string } | undefined>
}

/** A key store over a ledger. Opens nothing of its own, so there is nothing to close. */
export function openKeyStore(ledger: Ledger): KeyStore {
  const remembered = new Map<string, { record: KeyRecord; untilMs: number }>()

  async function recordFor(keyId: string): Promise<KeyRecord | undefined> {
    const known = remembered.get(keyId)
    if (known !== undefined && known.untilMs > performance.now()) return known.record
    const record = await readRecord(ledger, keyId)
    // Only IDs that exist are remembered, so guessing cannot fill the memory.
    if (remembered.size >= REMEMBER_LIMIT) remembered.clear()
    remembered.delete(keyId)
    if (record !== undefined) {
      remembered.set(keyId, { record, untilMs: performance.now() + REMEMBER_MS })
    }
    return record
  }

  return {
    verifyKey: async (text) => {
      const parsed = parseKey(text)
      if (parsed === undefined) return undefined
      const record = await recordFor(parsed.keyId)
      if (record === undefined) return undefined
      const isRight = timingSafeEqual(digestOf(text), Buffer.from(record.sha256, 'hex'))
      return isRight ? { keyId: parsed.keyId } : undefined
    },
  }
}
