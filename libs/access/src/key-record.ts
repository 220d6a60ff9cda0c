/** API keys as Redis holds them: in one hash, by key ID, each as its digest. The text of a key is never in there. */
import { ALL_SCOPES, type ApiKey, KeyId, KeyOwner, MusterError, Scope } from '@muster/contract'
import { FULL, isFull, type Ledger } from '@muster/ledger'
import { z } from 'zod'
import { digestOf } from './key-text.ts'

/** A stored key. What is absent was not written by an earlier version, or goes without saying. */
const StoredKey = z.object({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** `given`: an operator chose it by MUSTER_API_KEY; `made`: it was made here. */
  source: z.enum(['made', 'given']),
  created_at: z.iso.datetime(),
  /** Absent: the key ID. */
  owner: KeyOwner.optional(),
  /** Absent: all there are, also those of later versions. So are the first key and a given one. */
  scopes: z.array(Scope).optional(),
  created_by: KeyId.nullable().default(null),
  expires_at: z.iso.datetime().nullable().default(null),
  revoked_at: z.iso.datetime().nullable().default(null),
})
type StoredKey = z.infer<typeof StoredKey>

/** A key with what checks it: the facts that callers may see, and the rest. */
export type KeyRecord = {
  readonly key: ApiKey
  readonly sha256: string
  readonly source: StoredKey['source']
  /** As it is stored, to tell whether it has changed since. */
  readonly text: string
}

/** The stored form of a new key. */
export function storedText(key: string, facts: Omit<z.input<typeof StoredKey>, 'sha256'>): string {
  return JSON.stringify({ sha256: digestOf(key).toString('hex'), ...facts } satisfies z.input<typeof StoredKey>)
}

/** The stored form of a record that is revoked from `at` on. */
export function revokedText(record: KeyRecord, at: string): string {
  return JSON.stringify({ ...StoredKey.parse(JSON.parse(record.text)), revoked_at: at })
}

function recordOf(keyId: string, text: string): KeyRecord {
  const { sha256, source, owner = keyId, scopes = [...ALL_SCOPES], ...times } = StoredKey.parse(JSON.parse(text))
  return { key: { key_id: keyId, owner, scopes, ...times }, sha256, source, text }
}

/**
 * The record of a key ID. Undefined when there is none.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRecord({ redis, keys }: Ledger, keyId: string): Promise<KeyRecord | undefined> {
  const text = await asking(() => redis.hget(keys.apiKeys, keyId))
  return text === null ? undefined : recordOf(keyId, text)
}

/**
 * All records, in no order.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRecords({ redis, keys }: Ledger): Promise<KeyRecord[]> {
  const stored = await asking(() => redis.hgetall(keys.apiKeys))
  return Object.entries(stored).map(([keyId, text]) => recordOf(keyId, text))
}

/**
 * Milliseconds by Redis' own clock: by it keys expire, so that all servers agree.
 * @throws {MusterError} ledger_unavailable
 */
export async function ledgerTimeMs({ redis }: Ledger): Promise<number> {
  const [seconds, micros] = await asking(() => redis.time())
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
}

/**
 * Asks Redis for something about keys; an answer that does not come is our own fault with the code for it.
 * @throws {MusterError} ledger_unavailable; ledger_full, and nothing was stored
 */
export async function asking<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question()
  } catch (error) {
    if (isFull(error)) throw new MusterError('ledger_full', FULL, { cause: error })
    throw new MusterError(
      'ledger_unavailable',
      'Redis is away or did not answer in time, so no API key can be checked',
      {
        cause: error,
      },
    )
  }
}
