/**
 * Makes, lists, rotates and revokes API keys. Nobody can give away more than they have: no scope, host, limit or time
 * that their own key lacks, and no access to another owner's jobs without `jobs:all`.
 *
 * A key and those that it has made, directly or not, are its family: it is revoked as a whole. The text of a new key is
 * returned once and stored nowhere. `verify-key.ts` checks keys.
 */
import { randomInt } from 'node:crypto'
import { type ApiKey, type Input, isUnlimited, MusterError, READ_ONLY_SCOPES, type Scope } from '@muster/contract'
import { ask, ledgerNowMs } from '@muster/ledger'
import { limitsOfChild, requireWithin, sharesOfChild } from './key-bounds.ts'
import { familyOf, isTheirs, requireMayRevoke, requireMayRotate } from './key-family.ts'
import { type KeyLedger, recordForm } from './key-ledger.ts'
import {
  isoTime,
  isValidAt,
  type KeyFacts,
  type KeyRecord,
  newText,
  readRecord,
  readRecords,
  revokedText,
  rotatedText,
} from './key-record.ts'
import { makeKey } from './key-text.ts'
import type { Principal } from './principal.ts'

const ID_SIGNS = 'abcdefghijklmnopqrstuvwxyz0123456789'
const ID_LENGTH = 10

/**
 * Stores a new key if its maker is as it was read: one that was revoked meanwhile makes nothing. Returns 'changed' if
 * it is not, 'taken' if there is such an ID already.
 */
const CREATE_LUA = `
local records = KEYS[1]
local id, text, maker_id, maker = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', records, maker_id) ~= maker then return 'changed' end
return redis.call('HSETNX', records, id, text) == 1 and 'stored' or 'taken'`

/**
 * Changes records if all are as they were read, and so is another on which the decision depends. It works in a full
 * Redis too: Redis checks its memory only before the first write of a script, and HDEL of no field needs none.
 * The other's ID or '', its text, then ID, old and new text of each.
 */
const CHANGE_LUA = `
local records = KEYS[1]
local other_id, other = ARGV[1], ARGV[2]
if other_id ~= '' and redis.call('HGET', records, other_id) ~= other then return 0 end
for i = 3, #ARGV, 3 do
  if redis.call('HGET', records, ARGV[i]) ~= ARGV[i + 1] then return 0 end
end
redis.call('HDEL', records, '')
for i = 3, #ARGV, 3 do redis.call('HSET', records, ARGV[i], ARGV[i + 2]) end
return 1`

/**
 * Makes a key on behalf of `maker`. Returns its text, which nobody can ever read again, and its record.
 * @throws {MusterError} insufficient_scope, key_limit when the key could do what its maker cannot
 * @throws {MusterError} unauthorized when the maker is not valid any more; ledger_full; ledger_unavailable
 */
export async function createKey(
  ledger: KeyLedger,
  maker: Principal,
  asked: Input<'create_key'>,
): Promise<{ key: string; record: ApiKey }> {
  const { redis, keys } = ledger
  const { owner = maker.owner, scopes = READ_ONLY_SCOPES, expires_in_s: expiresInS } = asked
  // If the maker changes meanwhile, or the ID is taken by a chance of one in 10^15, decide anew.
  for (;;) {
    const nowMs = await ledgerNowMs(ledger)
    const above = await validRecord(ledger, maker.keyId, nowMs)
    const keyId = newKeyId()
    const key = makeKey(keyId)
    const facts = {
      source: 'made',
      format: 2,
      owner,
      scopes: withReading(scopes),
      created_at: isoTime(nowMs),
      created_by: maker.keyId,
      ...(above.key.scopes.includes('jobs:all') ? {} : { counts_with: above.countsWith }),
      expires_at: expiresInS === undefined ? above.key.expires_at : isoTime(nowMs + expiresInS * 1_000),
      limits: limitsOfChild(above, asked),
      shares: sharesOfChild(above, keyId, asked),
    } as const satisfies KeyFacts
    const { source: _source, format: _format, counts_with: _counts, shares, ...told } = facts
    const record: ApiKey = { key_id: keyId, ...told, revoked_at: null, old_secret_until: null }
    requireWithin(above, { key: record, shares }, 'making a key')
    const { stored } = await recordForm(ledger)
    const given = [keyId, stored(keyId, newText(key, facts)), maker.keyId, above.text]
    const word = await ask(redis, () => redis.eval(CREATE_LUA, 1, keys.apiKeys, ...given))
    if (word === 'stored') return { key, record }
  }
}

/**
 * All keys that `reader` may see, the newest first: those of the same owner, or, with `jobs:all`, of all.
 * @throws {MusterError} ledger_unavailable
 */
export async function listKeys(ledger: KeyLedger, reader: Principal): Promise<ApiKey[]> {
  const records = await readRecords(ledger)
  return records
    .map(({ key }) => key)
    .filter((key) => isTheirs(key, reader))
    .sort((a, b) => (a.created_at === b.created_at ? 0 : a.created_at < b.created_at ? 1 : -1))
}

/**
 * Gives a key a new secret. Returns its text, which nobody can ever read again. The old secret is accepted for
 * `graceMs` more; one that was replaced before is not any more.
 * @throws {MusterError} not_found for an unknown key, or one of another owner when `rotator` has no `jobs:all`
 * @throws {MusterError} insufficient_scope, key_limit when the key may do what the rotator may not, is one that the
 *   rotator comes from, or, without `jobs:all`, one of another family
 * @throws {MusterError} invalid_request for a key that is not valid any more, or was given by the operator
 * @throws {MusterError} ledger_full, ledger_unavailable
 */
export async function rotateKey(
  ledger: KeyLedger,
  rotator: Principal,
  keyId: string,
  graceMs: number,
): Promise<{ key: string; record: ApiKey }> {
  const { redis, keys } = ledger
  for (;;) {
    const nowMs = await ledgerNowMs(ledger)
    const own = await validRecord(ledger, rotator.keyId, nowMs)
    const records = await readRecords(ledger)
    const record = records.find(({ key }) => key.key_id === keyId)
    if (record === undefined || !isTheirs(record.key, rotator)) throw noSuchKey(keyId)
    requireMayRotate(own, rotator, record, records)
    if (!isValidAt(record, nowMs)) throw refusedKey(keyId, 'is revoked or has expired: make another in its place')
    if (record.source === 'given') throw refusedKey(keyId, 'is from MUSTER_API_KEY: change it there')
    requireWithin(own, record, `rotating the key ${keyId}`)
    const key = makeKey(keyId)
    const until = isoTime(nowMs + graceMs)
    const { stored } = await recordForm(ledger)
    const change = [own.key.key_id, own.text, keyId, record.text, stored(keyId, rotatedText(record, key, until))]
    const isChanged = await ask(redis, () => redis.eval(CHANGE_LUA, 1, keys.apiKeys, ...change))
    if (isChanged === 1) return { key, record: { ...record.key, old_secret_until: until } }
  }
}

/** A key that is revoked, the IDs of the keys below it that this call has revoked, and those of its whole family. */
export type RevokedFamily = {
  readonly key: ApiKey
  readonly children: readonly string[]
  readonly family: readonly string[]
}

/**
 * Revokes a key and its family for good. What was revoked before stays as it is.
 * @throws {MusterError} not_found for an unknown key, or one of another owner when `revoker` has no `jobs:all`
 * @throws {MusterError} key_limit for a key that the revoker comes from; insufficient_scope
 * @throws {MusterError} last_key when no other could manage all keys; ledger_unavailable
 */
export async function revokeKey(ledger: KeyLedger, revoker: Principal, keyId: string): Promise<RevokedFamily> {
  const { redis, keys } = ledger
  const at = isoTime(await ledgerNowMs(ledger))
  const children = new Set<string>()
  // Once a key is revoked it makes no more children, so this ends: when nobody changed anything, and none came since.
  for (;;) {
    const records = await readRecords(ledger)
    const record = records.find(({ key }) => key.key_id === keyId)
    if (record === undefined || !isTheirs(record.key, revoker)) throw noSuchKey(keyId)
    const family = familyOf(record, records)
    requireMayRevoke(revoker, record, family)
    const valid = [...family].filter(({ key }) => key.revoked_at === null)
    if (valid.length === 0) {
      return { key: record.key, children: [...children], family: [...family].map(({ key }) => key.key_id) }
    }
    const other = records.find((one) => !family.has(one) && canManageAll(one))
    if (valid.some(canManageAll) && other === undefined) throw lastKey(keyId)
    const { stored } = await recordForm(ledger)
    const changes = valid.flatMap((one) => {
      const { key_id: id } = one.key
      return [id, one.text, stored(id, revokedText(one, at))]
    })
    const given = [other?.key.key_id ?? '', other?.text ?? '', ...changes]
    const isChanged = await ask(redis, () => redis.eval(CHANGE_LUA, 1, keys.apiKeys, ...given))
    if (isChanged !== 1) continue
    for (const { key } of valid) if (key.key_id !== keyId) children.add(key.key_id)
  }
}

/** The scopes, each once. Who reads the output of jobs reads the jobs. */
function withReading(scopes: readonly Scope[]): Scope[] {
  return [
    ...new Set(scopes.flatMap((scope): Scope[] => (scope === 'jobs:read:output' ? ['jobs:read', scope] : [scope]))),
  ]
}

/** The record of the key that acts, as it is now: a server may remember it for a second. */
async function validRecord(ledger: KeyLedger, keyId: string, nowMs: number): Promise<KeyRecord> {
  const record = await readRecord(ledger, keyId)
  if (record !== undefined && isValidAt(record, nowMs)) return record
  throw new MusterError('unauthorized', `the API key ${keyId} is not valid any more`)
}

/** Whether a key can manage all keys for good: one that expires would some day leave nobody who can. */
function canManageAll({ key: { scopes, limits, revoked_at: revokedAt, expires_at: expiresAt } }: KeyRecord): boolean {
  const needed: readonly Scope[] = ['keys:manage', 'jobs:all']
  return (
    revokedAt === null && expiresAt === null && isUnlimited(limits) && needed.every((scope) => scopes.includes(scope))
  )
}

function newKeyId(): string {
  return Array.from({ length: ID_LENGTH }, () => ID_SIGNS.charAt(randomInt(ID_SIGNS.length))).join('')
}

function noSuchKey(keyId: string): MusterError {
  return new MusterError('not_found', `there is no API key ${keyId}`, { details: { field: 'key_id' } })
}

function refusedKey(keyId: string, why: string): MusterError {
  return new MusterError('invalid_request', `key_id: the API key ${keyId} ${why}`, { details: { field: 'key_id' } })
}

function lastKey(keyId: string): MusterError {
  const message =
    `without the API key ${keyId} and the keys below it nobody could manage the keys of all owners any more; ` +
    'it is not revoked'
  return new MusterError('last_key', message, { details: { field: 'key_id' } })
}
