/**
 * Checks the API keys that come with requests against the stored digests.
 *
 * A record is remembered for a second, so that a busy caller costs no round trip per request; a key that is revoked,
 * or taken out of Redis, is refused after that second everywhere.
 */
import { timingSafeEqual } from 'node:crypto'
import type { Ledger } from '@muster/ledger'
import { type KeyRecord, ledgerTimeMs, readRecord } from './key-record.ts'
import { digestOf, parseKey } from './key-text.ts'
import type { Principal } from './principal.ts'

const REMEMBER_MS = 1_000
/** Bounds the memory; above it everything is forgotten and looked up again. */
const REMEMBER_LIMIT = 1_000

/**
 * What is known of a key. `unknown`: the text is no key, or none of ours. `revoked` and `expired` are told only to who
 * has the whole text, `at` being since when, in ISO 8601.
 */
type KeyCheck =
  | { readonly kind: 'valid'; readonly principal: Principal }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'revoked' | 'expired'; readonly keyId: string; readonly at: string }

/** Checks keys for one server. */
export type KeyStore = {
  /**
   * Whose key this is, or why it is nobody's any more.
   * @throws {MusterError} ledger_unavailable
   */
  verifyKey(text: string): Promise<KeyCheck>
}

/** A record, and Redis' clock as it stood then. */
type Remembered = { readonly record: KeyRecord; readonly readMs: number; readonly ledgerMs: number }

/** A key store over a ledger. Opens nothing of its own, so there is nothing to close. */
export function openKeyStore(ledger: Ledger): KeyStore {
  const remembered = new Map<string, Remembered>()

  async function recordFor(keyId: string): Promise<Remembered | undefined> {
    const known = remembered.get(keyId)
    if (known !== undefined && known.readMs + REMEMBER_MS > performance.now()) return known
    const [record, ledgerMs] = await Promise.all([readRecord(ledger, keyId), ledgerTimeMs(ledger)])
    // Only IDs that exist are remembered, so guessing cannot fill the memory.
    if (remembered.size >= REMEMBER_LIMIT) remembered.clear()
    remembered.delete(keyId)
    if (record === undefined) return undefined
    const read = { record, readMs: performance.now(), ledgerMs }
    remembered.set(keyId, read)
    return read
  }

  return {
    verifyKey: async (text) => {
      const parsed = parseKey(text)
      const found = parsed === undefined ? undefined : await recordFor(parsed.keyId)
      if (found === undefined) return { kind: 'unknown' }
      const { record, readMs, ledgerMs } = found
      if (!timingSafeEqual(digestOf(text), Buffer.from(record.sha256, 'hex'))) return { kind: 'unknown' }
      const { key_id: keyId, owner, scopes, revoked_at: revokedAt, expires_at: expiresAt } = record.key
      if (revokedAt !== null) return { kind: 'revoked', keyId, at: revokedAt }
      const nowMs = ledgerMs + performance.now() - readMs
      if (expiresAt !== null && Date.parse(expiresAt) <= nowMs) return { kind: 'expired', keyId, at: expiresAt }
      return { kind: 'valid', principal: { keyId, owner, scopes: new Set(scopes) } }
    },
  }
}
