/** API keys as Redis holds them: in one hash, by key ID, each as a digest. The text of a key is never stored. */
import { ALL_SCOPES, type ApiKey, KeyId, KeyLimits, KeyOwner, NO_LIMITS, Scope } from '@muster/contract'
import { ask, type Ledger } from '@muster/ledger'
import { z } from 'zod'
import { digestOf } from './key-text.ts'
import type { KeyShare, Principal } from './principal.ts'

const Digest = z.string().regex(/^[0-9a-f]{64}$/)

/**
 * A stored key. Earlier versions did not write the optional fields. A field that is not known here may be a limit of a
 * later version, so a record that has one is not used.
 */
const StoredKey = z.strictObject({
  sha256: Digest,
  /** `given`: an operator chose it with MUSTER_API_KEY; `made`: Muster made it. */
  source: z.enum(['made', 'given']),
  /** Absent: of a version in which `jobs:read` allowed to read output too. */
  format: z.literal(2).optional(),
  created_at: z.iso.datetime(),
  /** Absent: the owner is called like the key ID. */
  owner: KeyOwner.optional(),
  /** Absent: all scopes, even those of later versions, as for the first key and a given one. */
  scopes: z.array(Scope).optional(),
  created_by: KeyId.nullable().default(null),
  /** The key with which it counts its calls. Absent: itself. */
  counts_with: KeyId.optional(),
  expires_at: z.iso.datetime().nullable().default(null),
  revoked_at: z.iso.datetime().nullable().default(null),
  /** The secret from before the last rotation, and until when it is accepted. */
  old_secret: z.strictObject({ sha256: Digest, until: z.iso.datetime() }).optional(),
  limits: KeyLimits.default(NO_LIMITS),
  shares: z
    .array(
      z.strictObject({
        key_id: KeyId,
        max_jobs_per_hour: z.number().int().min(1).nullable(),
        max_concurrency: z.number().int().min(1).nullable(),
      }),
    )
    .default([]),
})
type StoredKey = z.infer<typeof StoredKey>

/** What is stored of a key besides the digest of its text. */
export type KeyFacts = Omit<z.input<typeof StoredKey>, 'sha256'>

/** A stored key as code uses it. */
export type KeyRecord = {
  /** What callers may see. */
  readonly key: ApiKey
  readonly sha256: string
  readonly oldSecret: StoredKey['old_secret']
  readonly source: StoredKey['source']
  readonly shares: readonly KeyShare[]
  readonly countsWith: string
  /** The stored text, to tell whether the record has changed since. */
  readonly text: string
}

/** The stored form of a new key. */
export function storedText(key: string, facts: KeyFacts): string {
  return JSON.stringify({ sha256: digestOf(key).toString('hex'), ...facts } satisfies z.input<typeof StoredKey>)
}

/** The stored form of a record that is revoked since `at`, in ISO 8601. */
export function revokedText(record: KeyRecord, at: string): string {
  return changedText(record, { revoked_at: at })
}

/** The stored form of a record with the secret of `key`. The one before is accepted until `until`, in ISO 8601. */
export function rotatedText(record: KeyRecord, key: string, until: string): string {
  const sha256 = digestOf(key).toString('hex')
  return changedText(record, { sha256, old_secret: { sha256: record.sha256, until } })
}

/** Whatever else the record says stays as it was written, so that a record of an earlier version stays one. */
function changedText({ text }: KeyRecord, change: Partial<z.input<typeof StoredKey>>): string {
  return JSON.stringify({ ...z.looseObject({}).parse(JSON.parse(text)), ...change })
}

/** @throws {ZodError | SyntaxError} when the record is damaged */
function recordOf(keyId: string, text: string): KeyRecord {
  const stored = StoredKey.parse(JSON.parse(text))
  const { sha256, source, format, owner = keyId, old_secret: oldSecret, shares, ...others } = stored
  const { counts_with: countsWith = keyId, ...rest } = others
  const scopes = scopesOf(stored.scopes ?? ALL_SCOPES, format)
  const key = { key_id: keyId, owner, ...rest, scopes, old_secret_until: oldSecret?.until ?? null }
  return { key, sha256, oldSecret, source, shares, countsWith, text }
}

/** What a stored key may do. A key from before there was a scope for output keeps reading it. */
function scopesOf(scopes: readonly Scope[], format: StoredKey['format']): Scope[] {
  const readsOutput = format === undefined && scopes.includes('jobs:read') && !scopes.includes('jobs:read:output')
  return readsOutput ? [...scopes, 'jobs:read:output'] : [...scopes]
}

/** Who calls with this key. */
export function principalOf({ key, shares, countsWith }: KeyRecord): Principal {
  const { key_id: keyId, owner, scopes, limits } = key
  return { keyId, owner, scopes: new Set(scopes), limits, shares, countsWith }
}

/**
 * The record of a key ID; undefined when there is none, or it is damaged: a key of which nobody can say what it may do
 * may do nothing.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRecord({ redis, keys }: Ledger, keyId: string): Promise<KeyRecord | undefined> {
  const text = await ask(redis, () => redis.hget(keys.apiKeys, keyId))
  return text === null ? undefined : orUndefined(keyId, text)
}

/**
 * All records that are not damaged, in no particular order.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRecords({ redis, keys }: Ledger): Promise<KeyRecord[]> {
  const stored = await ask(redis, () => redis.hgetall(keys.apiKeys))
  return Object.entries(stored).flatMap(([keyId, text]) => orUndefined(keyId, text) ?? [])
}

function orUndefined(keyId: string, text: string): KeyRecord | undefined {
  try {
    return recordOf(keyId, text)
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof SyntaxError) return undefined
    throw error
  }
}

/**
 * The time of Redis in milliseconds since 1970. Keys expire by this clock, so that all servers agree.
 * @throws {MusterError} ledger_unavailable
 */
export async function ledgerTimeMs({ redis }: Ledger): Promise<number> {
  const [seconds, micros] = await ask(redis, () => redis.time())
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
}

/** ISO 8601 in UTC. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

/** Whether a key is accepted at a time of Redis. */
export function isValidAt(
  { key: { revoked_at: revokedAt, expires_at: expiresAt } }: KeyRecord,
  nowMs: number,
): boolean {
  return revokedAt === null && (expiresAt === null || Date.parse(expiresAt) > nowMs)
}
