/**
 * Checks the API keys of requests against the stored digests.
 *
 * A record is remembered for a second, so that a busy caller costs no round trip per request. After that second, a key
 * that was revoked or removed from Redis is refused everywhere.
 */
import { timingSafeEqual } from 'node:crypto'
import { ledgerNowMs } from '@muster/ledger'
import type { KeyLedger } from './key-ledger.ts'
import { type KeyRecord, principalOf, readRecord } from './key-record.ts'
import { digestOf, parseKey } from './key-text.ts'
import type { Principal } from './principal.ts'

const REMEMBER_MS = 1_000
/** Bounds the memory: when there are more records, all are forgotten. */
const REMEMBER_LIMIT = 1_000

/**
 * What is known of a key. `unknown`: the text is not a key, or not one of ours. Only a caller with the whole text
 * learns of `revoked` and `expired`; `at` says since when, in ISO 8601.
 */
type KeyCheck =
  | { readonly kind: 'valid'; readonly principal: Principal }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'revoked' | 'expired'; readonly keyId: string; readonly at: string }

/** Checks keys for one server. */
export type KeyStore = {
  /**
   * Whose key this is, or why it is no longer valid.
   * @throws {MusterError} ledger_unavailable
   */
  verifyKey(text: string): Promise<KeyCheck>
}

/** A record and when it was read, by our clock and by that of Redis. */
type Remembered = { readonly record: KeyRecord; readonly readMs: number; readonly ledgerMs: number }

/** A key store over a ledger. It opens nothing itself, so there is nothing to close. */
export function openKeyStore(ledger: KeyLedger): KeyStore {
  const remembered = new Map<string, Remembered>()

  async function recordFor(keyId: string): Promise<Remembered | undefined> {
    const known = remembered.get(keyId)
    if (known !== undefined && known.readMs + REMEMBER_MS > performance.now()) return known
    const [record, ledgerMs] = await Promise.all([readRecord(ledger, keyId), ledgerNowMs(ledger)])
    // Remember only IDs that exist, so that guessing cannot fill the memory.
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
      const nowMs = ledgerMs + performance.now() - readMs
      if (!hasSecret(record, digestOf(text), nowMs)) return { kind: 'unknown' }
      const principal = principalOf(record)
      const { key_id: keyId, revoked_at: revokedAt, expires_at: expiresAt } = record.key
      if (revokedAt !== null) return { kind: 'revoked', keyId, at: revokedAt }
      if (expiresAt !== null && Date.parse(expiresAt) <= nowMs) return { kind: 'expired', keyId, at: expiresAt }
      const isPresent = digestOf(text).toString('hex') === record.sha256
      return { kind: 'valid', principal: isPresent ? principal : withoutManaging(principal) }
    },
  }
}

/** A secret that was replaced makes no keys and rotates none: whoever has found it could keep what it may do. */
function withoutManaging(principal: Principal): Principal {
  return { ...principal, scopes: new Set([...principal.scopes].filter((scope) => scope !== 'keys:manage')) }
}

/** Whether this is the digest of the key, or of the secret that it had before, while that is accepted. */
function hasSecret({ sha256, oldSecret }: KeyRecord, digest: Buffer, nowMs: number): boolean {
  if (timingSafeEqual(digest, Buffer.from(sha256, 'hex'))) return true
  if (oldSecret === undefined || Date.parse(oldSecret.until) <= nowMs) return false
  return timingSafeEqual(digest, Buffer.from(oldSecret.sha256, 'hex'))
}
