/** API keys as Redis holds them: in one hash, by key ID, each as a digest. The text of a key is never stored. */
import { ALL_SCOPES, type ApiKey, KeyId, KeyOwner, Scope } from '@muster/contract'
import { ask, type Ledger } from '@muster/ledger'
import { z } from 'zod'
import { digestOf } from './key-text.ts'

/** A stored key. Earlier versions did not write the optional fields. */
const StoredKey = z.object({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** `given`: an operator chose it with MUSTER_API_KEY; `made`: Muster made it. */
  source: z.enum(['made', 'given']),
  created_at: z.iso.datetime(),
  /** Absent: the owner is called like the key ID. */
  owner: KeyOwner.optional(),
  /** Absent: all scopes, even those of later versions, as for the first key and a given one. */
  scopes: z.array(Scope).optional(),
  created_by: KeyId.nullable().default(null),
  expires_at: z.iso.datetime().nullable().default(null),
  revoked_at: z.iso.datetime().nullable().default(null),
})
type StoredKey = z.infer<typeof StoredKey>

/** A stored key as code uses it. */
export type KeyRecord = {
  /** What callers may see. */
  readonly key: ApiKey
  readonly sha256: string
  readonly source: StoredKey['source']
  /** The stored text, to tell whether the record has changed since. */
  readonly text: string
}

/** The stored form of a new key. */
export function storedText(key: string, facts: Omit<z.input<typeof StoredKey>, 'sha256'>): string {
  return JSON.stringify({ sha256: digestOf(key).toString('hex'), ...facts } satisfies z.input<typeof StoredKey>)
}

/** The stored form of a record that is revoked since `at`, in ISO 8601. */
export function revokedText(record: KeyRecord, at: string): string {
  return JSON.stringify({ ...StoredKey.parse(JSON.parse(record.text)), revoked_at: at })
}

function recordOf(keyId: string, text: string): KeyRecord {
  const { sha256, source, owner = keyId, scopes = [...ALL_SCOPES], ...times } = StoredKey.parse(JSON.parse(text))
  return { key: { key_id: keyId, owner, scopes, ...times }, sha256, source, text }
}

/**
 * The record of a key ID; undefined when there is none.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRecord({ redis, keys }: Ledger, keyId: string): Promise<KeyRecord | undefined> {
  const text = await ask(redis, () => redis.hget(keys.apiKeys, keyId))
  return text === null ? undefined : recordOf(keyId, text)
}

/**
 * All records, in no particular order.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRecords({ redis, keys }: Ledger): Promise<KeyRecord[]> {
  const stored = await ask(redis, () => redis.hgetall(keys.apiKeys))
  return Object.entries(stored).map(([keyId, text]) => recordOf(keyId, text))
}

/**
 * The time of Redis in milliseconds since 1970. Keys expire by this clock, so that all servers agree.
 * @throws {MusterError} ledger_unavailable
 */
export async function ledgerTimeMs({ redis }: Ledger): Promise<number> {
  const [seconds, micros] = await ask(redis, () => redis.time())
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
}
