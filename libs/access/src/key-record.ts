/** API keys as Redis holds them: in one hash, by key ID, each as a digest. The text of a key is never stored. */
import { ALL_SCOPES, type ApiKey, KeyId, KeyLimits, KeyOwner, NO_LIMITS, Scope } from '@muster/contract'
import { ask } from '@muster/ledger'
import { z } from 'zod'
import { type KeyLedger, type RecordForm, recordForm } from './key-ledger.ts'
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
  /** What the record says, without its MAC. */
  readonly said: string
}

/** What the record of a new key says. */
export function newText(key: string, facts: KeyFacts): string {
  return JSON.stringify({ sha256: digestOf(key).toString('hex'), ...facts } satisfies z.input<typeof StoredKey>)
}

/** What a record says that is revoked since `at`, in ISO 8601. */
export function revokedText(record: KeyRecord, at: string): string {
  return changedText(record, { revoked_at: at })
}

/** What a record says with the secret of `key`. The one before is accepted until `until`, in ISO 8601. */
export function rotatedText(record: KeyRecord, key: string, until: string): string {
  const sha256 = digestOf(key).toString('hex')
  return changedText(record, { sha256, old_secret: { sha256: record.sha256, until } })
}

/** Whatever else the record says stays as it was written, so that a record of an earlier version stays one. */
function changedText({ said }: KeyRecord, change: Partial<z.input<typeof StoredKey>>): string {
  return JSON.stringify({ ...z.looseObject({}).parse(JSON.parse(said)), ...change })
}

/** @throws {ZodError | SyntaxError} when the record is damaged */
function recordOf(keyId: string, { said, text }: Pick<KeyRecord, 'said' | 'text'>): KeyRecord {
  const stored = StoredKey.parse(JSON.parse(said))
  const { sha256, source, format, owner = keyId, old_secret: oldSecret, shares, ...others } = stored
  const { counts_with: countsWith = keyId, ...rest } = others
  const scopes = scopesOf(stored.scopes ?? ALL_SCOPES, format)
  const key = { key_id: keyId, owner, ...rest, scopes, old_secret_until: oldSecret?.until ?? null }
  return { key, sha256, oldSecret, source, shares, countsWith, text, said }
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
 * The record of a key ID; undefined when there is none, somebody wrote it by hand, or it is damaged: a key of which
 * nobody can say what it may do may do nothing.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRecord(ledger: KeyLedger, keyId: string): Promise<KeyRecord | undefined> {
  const { redis, keys } = ledger
  const text = await ask(redis, () => redis.hget(keys.apiKeys, keyId))
  return text === null ? undefined : orUndefined(keyId, text, await recordForm(ledger))
}

/**
 * All records but those that {@link readRecord} would not give, in no particular order.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRecords(ledger: KeyLedger): Promise<KeyRecord[]> {
  const { redis, keys } = ledger
  const [stored, form] = await Promise.all([ask(redis, () => redis.hgetall(keys.apiKeys)), recordForm(ledger)])
  return Object.entries(stored).flatMap(([keyId, text]) => orUndefined(keyId, text, form) ?? [])
}

/** Whether it is what the record of a key says. */
export function isReadable(keyId: string, said: string): boolean {
  return orUndefined(keyId, said, { said: () => said }) !== undefined
}

function orUndefined(keyId: string, text: string, form: Pick<RecordForm, 'said'>): KeyRecord | undefined {
  const said = form.said(keyId, text)
  if (said === undefined) return undefined
  try {
    return recordOf(keyId, { said, text })
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof SyntaxError) return undefined
    throw error
  }
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
