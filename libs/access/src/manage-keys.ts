/**
 * Making, listing and revoking API keys. Nobody can give away more than they have: neither a scope, nor without
 * `jobs:all` the jobs of another owner.
 *
 * The text of a new key is answered once and stored nowhere. How keys are checked, verify-key.ts knows.
 */
import { randomInt } from 'node:crypto'
import { type ApiKey, type Input, MusterError, type Scope } from '@muster/contract'
import type { Ledger } from '@muster/ledger'
import { asking, type KeyRecord, ledgerTimeMs, readRecord, readRecords, revokedText, storedText } from './key-record.ts'
import { makeKey } from './key-text.ts'
import { type Principal, requireScope } from './principal.ts'

const ID_SIGNS = 'abcdefghijklmnopqrstuvwxyz0123456789'
const ID_LENGTH = 10

/**
 * Changes a record only if it is still as it was read, and so is another one, on which it was decided. Also in a Redis
 * that is full, which asks for memory only before the first write of a script: that one is of no field, and needs none.
 * KEYS[1] the records.  ARGV 1 key ID, 2 its record, 3 its new one, 4 another key ID or '', 5 the record of that.
 */
const CHANGE_LUA = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[4] ~= '' and redis.call('HGET', KEYS[1], ARGV[4]) ~= ARGV[5] then return 0 end
redis.call('HDEL', KEYS[1], '')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`

/**
 * Makes a key for `maker`; answers its text, which nobody can ever read again, and its record.
 * @throws {MusterError} insufficient_scope when it could do what its maker cannot; ledger_full; ledger_unavailable
 */
export async function createKey(
  ledger: Ledger,
  maker: Principal,
  { owner, scopes, expires_in_s: expiresInS }: Input<'create_key'>,
): Promise<{ key: string; record: ApiKey }> {
  for (const scope of scopes) requireScope(maker, scope, `making a key with the scope ${scope}`)
  if (owner !== maker.owner) requireScope(maker, 'jobs:all', `making a key for the owner ${owner}`)
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
    // An ID that is taken, by a chance of one in 10^15, stays with whom it has.
    const isFree = (await asking(() => ledger.redis.hsetnx(ledger.keys.apiKeys, keyId, text))) === 1
    const record = isFree ? await readRecord(ledger, keyId) : undefined
    if (record !== undefined) return { key, record: record.key }
  }
}

/**
 * All keys that `reader` may see, the newest first: those of its own owner, or of all with `jobs:all`.
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
 * Revokes a key and answers its record, in which it stays for good. One that was revoked before stays as it is.
 * @throws {MusterError} not_found for a key that is not there, or of another owner and `revoker` has no `jobs:all`
 * @throws {MusterError} last_key when no other could manage all keys; ledger_unavailable
 */
export async function revokeKey(ledger: Ledger, revoker: Principal, keyId: string): Promise<ApiKey> {
  const { redis, keys } = ledger
  const at = isoTime(await ledgerTimeMs(ledger))
  // Whenever it must be decided anew, somebody else's change was made meanwhile.
  for (;;) {
    const records = await readRecords(ledger)
    const record = records.find(({ key }) => key.key_id === keyId)
    if (record === undefined || !isTheirs(record.key, revoker)) throw noSuchKey(keyId)
    if (record.key.revoked_at !== null) return record.key
    const other = records.find((one) => one !== record && canManageAll(one))
    if (canManageAll(record) && other === undefined) throw lastKey(keyId)
    const change = [keyId, record.text, revokedText(record, at), other?.key.key_id ?? '', other?.text ?? '']
    const isChanged = await asking(() => redis.eval(CHANGE_LUA, 1, keys.apiKeys, ...change))
    if (isChanged === 1) return { ...record.key, revoked_at: at }
  }
}

function isTheirs({ owner }: ApiKey, { owner: own, scopes }: Principal): boolean {
  return owner === own || scopes.has('jobs:all')
}

/** For good: one that expires would leave nobody a while later. */
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
