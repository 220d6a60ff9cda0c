/** Records of API keys that somebody wrote into Redis by hand: none of them is a key, and none changes one. */
import { join } from 'node:path'
import { ensureFirstKey, listKeys, openKeyStore, renewMacs, revokeKey, rotateKey } from '@muster/access'
import type { Request } from '@muster/contract'
import { makeKeys, rotateKeys, SERVER_KEYS } from '@muster/trust'
import { describe, expect, test } from 'vitest'
import { digestOf, makeKey as newKeyText } from '../../../libs/access/src/key-text.ts'
import { openTestKeyLedger, type TestKeyLedger, withMacs, withoutMacs } from '../../support/access/key-ledger.ts'
import { FIRST, makeKey } from '../../support/access/keys.ts'
import { openTestLedger } from '../../support/ledger/ledger.ts'
import { temporaryDataDir } from '../../support/server/server.ts'
import { anHourLater } from '../../support/trust/key-age.ts'

async function ledgerWithFirst(): Promise<TestKeyLedger> {
  const ledger = await openTestKeyLedger()
  await ensureFirstKey(ledger, { dataDir: await temporaryDataDir() })
  return ledger
}

const kindOf = async (ledger: TestKeyLedger, key: string) => (await openKeyStore(ledger).verifyKey(key)).kind
const recordOf = async ({ redis, keys }: TestKeyLedger, id: string) => (await redis.hget(keys.apiKeys, id)) ?? ''
const idsIn = async (ledger: TestKeyLedger) => (await listKeys(ledger, FIRST)).map(({ key_id: id }) => id).toSorted()

describe('a record that was written by hand', () => {
  const READS: Request<'create_key'> = { owner: 'ann', scopes: ['jobs:read'] }

  test('is no key: not as a whole, not with the MAC of another one, and it is not listed', async () => {
    const ledger = await ledgerWithFirst()
    const { redis, keys } = ledger
    const own = newKeyText('evil')
    const sha256 = digestOf(own).toString('hex')
    const said = { sha256, source: 'made', created_at: new Date().toISOString() }
    const mac = /"mac":"([^"]+)"/.exec(await recordOf(ledger, 'first'))?.[1]
    const forged = [said, { ...said, mac }, { ...said, mac: '' }, { mac, ...said }]
    const wouldBe: string[] = []
    for (const record of forged) {
      await redis.hset(keys.apiKeys, 'evil', JSON.stringify(record))
      wouldBe.push(await kindOf(withoutMacs(ledger), own))
      expect(await kindOf(ledger, own)).toBe('unknown')
      expect(await idsIn(ledger)).toEqual(['first'])
    }
    // A server without keys would have been deceived.
    expect(wouldBe).toEqual(['valid', 'valid', 'unknown', 'unknown'])
  })

  test.each([
    ['more scopes', (text: string) => text.replace('"jobs:read"', '"jobs:read","jobs:run","keys:manage"')],
    ['another owner', (text: string) => text.replace('"owner":"ann"', '"owner":"bob"')],
    ['no end', (text: string) => text.replace(/"expires_at":"[^"]+"/, '"expires_at":null')],
    ['no limit', (text: string) => text.replace('"max_hosts":3', '"max_hosts":null')],
    ['another secret', (text: string) => text.replace(/"sha256":"[0-9a-f]{8}/, '"sha256":"00000000')],
    ['no MAC', (text: string) => text.replace(/,"mac":"[^"]+"/, '')],
  ])('with %s in it is no key any more', async (_what, change) => {
    const ledger = await ledgerWithFirst()
    const { key, record } = await makeKey(ledger, FIRST, { ...READS, expires_in_s: 60, max_hosts: 3 })
    expect(await kindOf(ledger, key)).toBe('valid')
    const text = await recordOf(ledger, record.key_id)
    expect(change(text)).not.toBe(text)
    await ledger.redis.hset(ledger.keys.apiKeys, record.key_id, change(text))
    expect(await kindOf(ledger, key)).toBe('unknown')
    expect(await idsIn(ledger)).toEqual(['first'])
    await expect(rotateKey(ledger, FIRST, record.key_id, 0)).rejects.toMatchObject({ code: 'not_found' })
    await expect(revokeKey(ledger, FIRST, record.key_id)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('undoes no revocation, and a record moved to another ID is no key', async () => {
    const ledger = await ledgerWithFirst()
    const { key, record } = await makeKey(ledger, FIRST, READS)
    await revokeKey(ledger, FIRST, record.key_id)
    const revoked = await recordOf(ledger, record.key_id)
    const undone = revoked.replace(/"revoked_at":"[^"]+"/, '"revoked_at":null')
    expect(undone).not.toBe(revoked)
    await ledger.redis.hset(ledger.keys.apiKeys, record.key_id, undone)
    expect(await kindOf(ledger, key)).toBe('unknown')
    await ledger.redis.hset(ledger.keys.apiKeys, 'moved', await recordOf(ledger, 'first'))
    expect(await idsIn(ledger)).toEqual(['first'])
  })

  test('makes no key: the maker must be one itself', async () => {
    const ledger = await ledgerWithFirst()
    const maker = await makeKey(ledger, FIRST, { owner: 'ann', scopes: ['keys:manage', 'jobs:read'] })
    const text = await recordOf(ledger, maker.record.key_id)
    await ledger.redis.hset(ledger.keys.apiKeys, maker.record.key_id, text.replace('"jobs:read"', '"jobs:all"'))
    const made = makeKey(ledger, { ...maker.holder, scopes: FIRST.scopes }, { owner: 'ann', scopes: ['jobs:all'] })
    await expect(made).rejects.toMatchObject({ code: 'unauthorized' })
  })
})

describe('records of a version without MACs', () => {
  test('are no keys until an operator has them taken over, and are the same keys then', async () => {
    const before = withoutMacs(await openTestLedger())
    await ensureFirstKey(before, { dataDir: await temporaryDataDir() })
    const { key, record } = await makeKey(before, FIRST, { owner: 'ann', scopes: ['jobs:read'] })
    await before.redis.hset(before.keys.apiKeys, 'damaged', '{')
    const ledger = await withMacs(before)
    expect(await kindOf(ledger, key)).toBe('unknown')
    const both = [record.key_id, 'first'].toSorted()
    const told = await renewMacs(ledger, { adopts: false })
    expect([told.adopted, told.refused.toSorted()]).toEqual([[], [...both, 'damaged'].toSorted()])
    const taken = await renewMacs(ledger, { adopts: true })
    expect([taken.adopted.toSorted(), taken.refused]).toEqual([both, ['damaged']])
    expect(await kindOf(ledger, key)).toBe('valid')
    expect((await listKeys(ledger, FIRST)).find(({ key_id: id }) => id === record.key_id)).toEqual(record)
    expect(await renewMacs(ledger, { adopts: true })).toEqual({ adopted: [], refused: ['damaged'] })
  })

  test('whose server has no keys keep being keys with a MAC and without', async () => {
    const ledger = await ledgerWithFirst()
    const { key, record } = await makeKey(ledger, FIRST, { owner: 'ann', scopes: ['jobs:read'] })
    const plain = withoutMacs(ledger)
    expect(await kindOf(plain, key)).toBe('valid')
    await rotateKey(plain, FIRST, record.key_id, 60_000)
    expect([await kindOf(plain, key), await kindOf(ledger, key)]).toEqual(['valid', 'unknown'])
  })
})

test('after a rotation of the keys of servers every record gets a MAC by the new one', async () => {
  const directory = await temporaryDataDir()
  await makeKeys(SERVER_KEYS, directory)
  const plain = await openTestLedger()
  const first = await withMacs(plain, directory)
  await ensureFirstKey(first, { dataDir: await temporaryDataDir() })
  const before = await recordOf(first, 'first')
  const { made } = await rotateKeys(SERVER_KEYS, directory)
  // The new key makes MACs in an hour, or when it is the only one.
  const young = await withMacs(plain, directory)
  expect(await renewMacs(young, { adopts: false })).toEqual({ adopted: [], refused: [] })
  expect(await recordOf(young, 'first')).toBe(before)
  await anHourLater(join(directory, 'server-keys.json'))
  const later = await withMacs(plain, directory)
  await renewMacs(later, { adopts: false })
  expect(await recordOf(later, 'first')).toContain(`"mac":"${made[1]}.`)
  expect(await idsIn(later)).toEqual(['first'])
})
