/**
 * Keeps the MACs of all records by the key that servers make them with now, so that older ones can be dropped; and
 * takes over records without one, once, when an operator says so.
 */
import { ask } from '@muster/ledger'
import { bare, type KeyLedger, recordForm } from './key-ledger.ts'
import { isReadable } from './key-record.ts'

/** Stores a record if it is as it was read. */
const RENEW_LUA = `
local records = KEYS[1]
local id, old, new = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', records, id) ~= old then return 0 end
redis.call('HSET', records, id, new)
return 1`

/** IDs of API keys, by what became of their records. */
export type RenewedMacs = {
  /** Without a MAC that fits, and believed now. */
  readonly adopted: readonly string[]
  /** Without a MAC that fits: no keys. */
  readonly refused: readonly string[]
}

/**
 * Renews the MACs.
 * @param adopts whether records without a MAC that fits get one: whoever wrote them is believed
 * @throws {MusterError} ledger_full, ledger_unavailable
 */
export async function renewMacs(ledger: KeyLedger, { adopts }: { adopts: boolean }): Promise<RenewedMacs> {
  const { redis, keys } = ledger
  const form = await recordForm(ledger)
  const adopted: string[] = []
  const refused: string[] = []
  const stored = await ask(redis, () => redis.hgetall(keys.apiKeys))
  for (const [keyId, text] of Object.entries(stored)) {
    const said = form.said(keyId, text)
    if (said === undefined && !(adopts && isReadable(keyId, bare(text)))) {
      refused.push(keyId)
      continue
    }
    if (said !== undefined && form.isCurrent(text)) continue
    const renewed = form.stored(keyId, said ?? bare(text))
    const isStored = await ask(redis, () => redis.eval(RENEW_LUA, 1, keys.apiKeys, keyId, text, renewed))
    if (said === undefined && isStored === 1) adopted.push(keyId)
  }
  return { adopted, refused }
}
