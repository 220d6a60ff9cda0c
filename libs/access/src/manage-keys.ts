/**
 * Makes, lists and revokes API keys. Nobody can give away more than they have: no scope that their own key lacks, and
 * no access to another owner's jobs without `jobs:all`.
 *
 * The text of a new key is returned once and stored nowhere. `verify-key.ts` checks keys.
 */
import { randomInt } from 'node:crypto'
import { type ApiKey, type Input, MusterError, type Scope } from '@muster/contract'
import { ask, type Ledger } from '@muster/ledger'
import { type KeyRecord, ledgerTimeMs, readRecord, readRecords, revokedText, storedText } from './key-record.ts'
import { makeKey } from './key-text.ts'
import { type Principal, requireScope } from './principal.ts'

const ID_SIGNS = 'abcdefghijklmnopqrstuvwxyz0123456789'
const ID_LENGTH = 10

/**
 * Changes a record if it is still as it was read, and so is a second record on which the decision depends. It works in
 * a full Redis too: Redis checks its memory only before the first write of a script, and HDEL of no field needs none.
 */
const CHANGE_LUA = `
local records = KEYS[1]
local id, old, new, second_id, second = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if redis.call('HGET', records, id) ~= old then return 0 end
if second_id ~= '' and redis.call('HGET', records, second_id) ~= second then return 0 end
redis.call('HDEL', records, '')
redis.call('HSET', records, id, new)
return 1`

/**
 * Makes a key on behalf of `maker`. Returns its text, which nobody can ever read again, and its record.
 * @throws {MusterError} insufficient_scope when the key could do what its maker cannot; ledger_full; ledger_unavailable
 */
export async function createKey(
  ledger: Ledger,
  maker: Principal,
  { owner, scopes, expires_in_s: expiresInS }: Input<'create_key'>,
): Promise<{ key: string; record: ApiKey }> {
  for (const scope of scopes) requireScope(maker, scope, `making a key with the scope ${scope}`)
  if (owner !== maker.owner) requireScope(maker, 'jobs:all', `making a key for the owner ${owner}`)
  const { redis, keys } = ledger
  const nowMs = await ledgerTimeMs(ledger)
  for (;;) {
    const keyId = newKeyId()
    const key = makeKey(keyId)
    const text = storedText(key, {
      source: 'made',
      owner,
      scopes: [...new Set(scopes)],
      created_at: isoTime(nowMs),
      created_by: maker.keyId,
      ...(expiresInS === undefined ? {} : { expires_at: isoTime(nowMs + expiresInS * 1_000) }),
    })
    // An ID that is taken already, by a chance of one in 10^15, stays with its owner.
    const isFree = (await ask(redis, () => redis.hsetnx(keys.apiKeys, keyId, text))) === 1
    const record = isFree ? await readRecord(ledger, keyId) : undefined
    if (record !== undefined) return { key, record: record.key }
  }
}

/**
 * All keys that `reader` may see, the newest first: those of the same owner, or, with `jobs:all`, of all.
 * @throws {MusterError} ledger_unavailable
 */
export async function listKeys(ledger: Ledger, reader: Principal): Promise<ApiKey[]> {
  const records = await readRecords(ledger)
  return records
    .map(({ key }) => key)
    .filter((key) => isTheirs(key, reader))
    .sort((a, b) => (a.created_at === b.created_at ? 0 : a.created_at < b.created_at ? 1 : -1))
}

/**
 * Revokes a key for good and returns its record. A key that was revoked before stays as it is.
 * @throws {MusterError} not_found for an unknown key, or one of another owner when `revoker` has no `jobs:all`
 * @throws {MusterError} last_key when no other could manage all keys; ledger_unavailable
 */
export async function revokeKey(ledger: Ledger, revoker: Principal, keyId: string): Promise<ApiKey> {
  const { redis, keys } = ledger
  const at = isoTime(await ledgerTimeMs(ledger))
  // If another change came first, decide again.
  for (;;) {
    const records = await readRecords(ledger)
    const record = records.find(({ key }) => key.key_id === keyId)
    if (record === undefined || !isTheirs(record.key, revoker)) throw noSuchKey(keyId)
    if (record.key.revoked_at !== null) return record.key
    const other = records.find((one) => one !== record && canManageAll(one))
    if (canManageAll(record) && other === undefined) throw lastKey(keyId)
    const change = [keyId, record.text, revokedText(record, at), other?.key.key_id ?? '', other?.text ?? '']
    const isChanged = await ask(redis, () => redis.eval(CHANGE_LUA, 1, keys.apiKeys, ...change))
    if (isChanged === 1) return { ...record.key, revoked_at: at }
  }
}

function isTheirs({ owner }: ApiKey, { owner: own, scopes }: Principal): boolean {
  return owner === own || scopes.has('jobs:all')
}

/** Whether a key can manage all keys for good: one that expires would some day leave nobody who can. */
function canManageAll({ key: { scopes, revoked_at: revokedAt, expires_at: expiresAt } }: KeyRecord): boolean {
  const needed: readonly Scope[] = ['keys:manage', 'jobs:all']
  return revokedAt === null && expiresAt === null && needed.every((scope) => scopes.includes(scope))
}

function newKeyId(): string {
  return Array.from({ length: ID_LENGTH }, () => ID_SIGNS.charAt(randomInt(ID_SIGNS.length))).join('')
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

function noSuchKey(keyId: string): MusterError {
  return new MusterError('not_found', `there is no API key ${keyId}`, { details: { field: 'key_id' } })
}

function lastKey(keyId: string): MusterError {
  const message = `without the API key ${keyId} nobody could manage the keys of all owners any more; it is not revoked`
  return new MusterError('last_key', message, { details: { field: 'key_id' } })
}
