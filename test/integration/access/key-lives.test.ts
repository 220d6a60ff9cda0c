/** The lives of API keys over a real Redis: how they are made, what they cannot give away, and how they end. */
import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { ensureFirstKey, listKeys, openKeyStore, revokeKey } from '@muster/access'
import { ALL_SCOPES, NO_LIMITS, type Scope } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { openTestKeyLedger, type TestKeyLedger, withoutMacs } from '../../support/access/key-ledger.ts'
import { allBut, FIRST, makeKey } from '../../support/access/keys.ts'
import { temporaryDataDir } from '../../support/server/server.ts'

/** A ledger with the first key, and its text. */
async function ledgerWithFirst(): Promise<{ ledger: TestKeyLedger; firstKey: string; dataDir: string }> {
  const ledger = await openTestKeyLedger()
  const dataDir = await temporaryDataDir()
  const first = await ensureFirstKey(ledger, { dataDir })
  if (first.kind !== 'made') throw new Error(`expected a new key, got ${first.kind}`)
  return { ledger, firstKey: first.key, dataDir }
}

const check = (ledger: TestKeyLedger, key: string) => openKeyStore(ledger).verifyKey(key)
const other = (key: string) => `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`

const given = (id: string) => `mst_${id}_${randomUUID()}${randomUUID()}`.replaceAll('-', '_')

describe('a key that is made', () => {
  test('is let in with its owner and scopes, and Redis holds no part of its text', async () => {
    const { ledger } = await ledgerWithFirst()
    const scopes: Scope[] = ['jobs:read', 'jobs:read', 'hosts:read']
    const { key, record } = await makeKey(ledger, FIRST, { owner: 'ci@example.org', scopes })
    expect(record).toEqual({
      key_id: expect.stringMatching(/^[a-z0-9]{10}$/),
      owner: 'ci@example.org',
      scopes: ['jobs:read', 'hosts:read'],
      created_at: expect.stringMatching(/Z$/),
      created_by: 'first',
      expires_at: null,
      revoked_at: null,
      old_secret_until: null,
      limits: NO_LIMITS,
    })
    expect(key.startsWith(`mst_${record.key_id}_`)).toBe(true)
    expect(await check(ledger, key)).toEqual({
      kind: 'valid',
      principal: {
        keyId: record.key_id,
        owner: 'ci@example.org',
        scopes: new Set(['jobs:read', 'hosts:read']),
        limits: NO_LIMITS,
        shares: [],
        countsWith: record.key_id,
      },
    })
    const secret = key.slice(`mst_${record.key_id}_`.length)
    expect(JSON.stringify(await ledger.redis.hgetall(ledger.keys.apiKeys))).not.toContain(secret)
  })

  test('cannot have a scope that its maker lacks', async () => {
    const { ledger } = await ledgerWithFirst()
    for (const scope of ALL_SCOPES) {
      const scopes = allBut(scope)
      const { holder } = await makeKey(ledger, FIRST, { owner: 'ann', scopes })
      const before = await ledger.redis.hgetall(ledger.keys.apiKeys)
      const making = makeKey(ledger, holder, { owner: 'ann', scopes: [scope] })
      await expect(making).rejects.toMatchObject({ code: 'insufficient_scope', details: { scope } })
      await expect(making).rejects.toThrow(`making a key with the scope ${scope}`)
      expect(await ledger.redis.hgetall(ledger.keys.apiKeys)).toEqual(before)
    }
  })

  test('cannot be for another owner, whose jobs it would see, unless its maker sees all jobs', async () => {
    const { ledger } = await ledgerWithFirst()
    const { holder } = await makeKey(ledger, FIRST, { owner: 'ann', scopes: ['keys:manage', 'jobs:read'] })
    const making = makeKey(ledger, holder, { owner: 'bob', scopes: ['jobs:read'] })
    await expect(making).rejects.toMatchObject({ code: 'insufficient_scope', details: { scope: 'jobs:all' } })
    const { record } = await makeKey(ledger, holder, { scopes: ['jobs:read'] })
    expect([record.owner, record.created_by]).toEqual(['ann', holder.keyId])
  })
})

describe('a key that has expired', () => {
  test('is told so, and since when, but only to who has its text', async () => {
    const { ledger } = await ledgerWithFirst()
    const key = { owner: 'ann', scopes: ['jobs:read' as const] }
    const lasting = await makeKey(ledger, FIRST, { ...key, expires_in_s: 3_600 })
    const made = await makeKey(ledger, FIRST, { ...key, expires_in_s: 1 })
    expect((await check(ledger, lasting.key)).kind).toBe('valid')
    const store = openKeyStore(ledger)
    await expect
      .poll(() => store.verifyKey(made.key), { timeout: 10_000 })
      .toEqual({
        kind: 'expired',
        keyId: made.record.key_id,
        at: made.record.expires_at,
      })
    expect(await check(ledger, other(made.key))).toEqual({ kind: 'unknown' })
    expect((await listKeys(ledger, FIRST)).map(({ key_id: keyId }) => keyId)).toContain(made.record.key_id)
  })
})

describe('a key that is revoked', () => {
  test('stays as a record and is told so, and since when, but only to who has its text', async () => {
    const { ledger } = await ledgerWithFirst()
    const { key, record } = await makeKey(ledger, FIRST, { owner: 'ann', scopes: ['jobs:read'] })
    const { key: revoked } = await revokeKey(ledger, FIRST, record.key_id)
    expect(revoked).toEqual({ ...record, revoked_at: expect.stringMatching(/Z$/) })
    expect(await check(ledger, key)).toEqual({ kind: 'revoked', keyId: record.key_id, at: revoked.revoked_at })
    expect(await check(ledger, other(key))).toEqual({ kind: 'unknown' })
    expect(await listKeys(ledger, FIRST)).toContainEqual(revoked)
    expect((await revokeKey(ledger, FIRST, record.key_id)).key).toEqual(revoked)
  })

  test('is refused by a server that remembers it, a second later at most', async () => {
    const { ledger } = await ledgerWithFirst()
    const { key, record } = await makeKey(ledger, FIRST, { owner: 'ann', scopes: ['jobs:read'] })
    const store = openKeyStore(ledger)
    expect((await store.verifyKey(key)).kind).toBe('valid')
    await revokeKey(ledger, FIRST, record.key_id)
    await expect.poll(async () => (await store.verifyKey(key)).kind, { timeout: 10_000 }).toBe('revoked')
  })

  test('may be the first one only when another that does not come from it can manage all keys for good', async () => {
    const { ledger, firstKey, dataDir } = await ledgerWithFirst()
    const child = await makeKey(ledger, FIRST, { owner: 'ops', scopes: [...ALL_SCOPES] })
    const refused = revokeKey(ledger, FIRST, 'first')
    await expect(refused).rejects.toMatchObject({ code: 'last_key', details: { field: 'key_id' } })
    expect((await check(ledger, firstKey)).kind).toBe('valid')
    const root = given('compose')
    await ensureFirstKey(ledger, { dataDir, givenKey: root })
    const revoked = await revokeKey(ledger, FIRST, 'first')
    expect([revoked.key.revoked_at, revoked.children]).toEqual([expect.any(String), [child.record.key_id]])
    for (const key of [firstKey, child.key]) expect((await check(ledger, key)).kind).toBe('revoked')
    expect((await check(ledger, root)).kind).toBe('valid')
  })

  test('at the same time as the only other one leaves one, however often that is tried', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { ledger, firstKey, dataDir } = await ledgerWithFirst()
      const root = given('compose')
      await ensureFirstKey(ledger, { dataDir, givenKey: root })
      const ends = await Promise.allSettled(['first', 'compose'].map((keyId) => revokeKey(ledger, FIRST, keyId)))
      expect(ends.filter(({ status }) => status === 'rejected')).toHaveLength(1)
      const kinds = [(await check(ledger, firstKey)).kind, (await check(ledger, root)).kind]
      expect(kinds.toSorted()).toEqual(['revoked', 'valid'])
    }
  }, 60_000)

  test('without jobs:all must be one of the own owner; others are not there', async () => {
    const { ledger } = await ledgerWithFirst()
    const { record: anns } = await makeKey(ledger, FIRST, { owner: 'ann', scopes: ['jobs:read'] })
    const { record: bobs } = await makeKey(ledger, FIRST, { owner: 'bob', scopes: ['jobs:read'] })
    const { holder: ann, record: annsOwn } = await makeKey(ledger, FIRST, { owner: 'ann', scopes: ['keys:manage'] })
    expect(await listKeys(ledger, ann)).toEqual(expect.arrayContaining([anns, annsOwn]))
    expect(await listKeys(ledger, ann)).toHaveLength(2)
    for (const keyId of [bobs.key_id, 'first', 'nosuchkey']) {
      await expect(revokeKey(ledger, ann, keyId)).rejects.toMatchObject({
        code: 'not_found',
        message: `there is no API key ${keyId}`,
      })
    }
    expect((await revokeKey(ledger, ann, anns.key_id)).key.revoked_at).not.toBeNull()
  })
})

describe('the list of keys', () => {
  test('has the newest first', async () => {
    const { ledger } = await ledgerWithFirst()
    const ids = ['first']
    for (let i = 0; i < 3; i += 1) {
      // They are told apart by the millisecond.
      await setTimeout(5)
      ids.unshift((await makeKey(ledger, FIRST, { owner: `o${i}`, scopes: ['jobs:read'] })).record.key_id)
    }
    expect((await listKeys(ledger, FIRST)).map(({ key_id: keyId }) => keyId)).toEqual(ids)
  })

  test('has a record of an earlier version as what it was: of all scopes, and its own owner', async () => {
    const ledger = withoutMacs(await openTestKeyLedger())
    const first = await ensureFirstKey(ledger, { dataDir: await temporaryDataDir() })
    const firstKey = first.kind === 'made' ? first.key : ''
    const text = (await ledger.redis.hget(ledger.keys.apiKeys, 'first')) ?? ''
    const { sha256, source, created_at } = JSON.parse(text)
    await ledger.redis.hset(ledger.keys.apiKeys, 'first', JSON.stringify({ sha256, source, created_at }))
    expect(await check(ledger, firstKey)).toEqual({ kind: 'valid', principal: FIRST })
    const unset = { created_by: null, expires_at: null, revoked_at: null, old_secret_until: null, limits: NO_LIMITS }
    expect(await listKeys(ledger, FIRST)).toEqual([
      { key_id: 'first', owner: 'first', scopes: [...ALL_SCOPES], created_at, ...unset },
    ])
  })
})

describe('a key given by the operator', () => {
  test('may do everything, and stays revoked when the server starts again with it', async () => {
    const { ledger, dataDir } = await ledgerWithFirst()
    const key = given('compose')
    expect(await ensureFirstKey(ledger, { dataDir, givenKey: key })).toMatchObject({ revokedAt: null })
    expect(await check(ledger, key)).toMatchObject({ principal: { owner: 'compose', scopes: new Set(ALL_SCOPES) } })
    const { revoked_at: revokedAt } = (await revokeKey(ledger, FIRST, 'compose')).key
    expect(await ensureFirstKey(ledger, { dataDir, givenKey: key })).toEqual({
      kind: 'given',
      keyId: 'compose',
      revokedAt,
    })
    expect((await check(ledger, key)).kind).toBe('revoked')
  })

  test('is the way back in: another text lets one in, also under an ID that was revoked', async () => {
    const { ledger, dataDir } = await ledgerWithFirst()
    await ensureFirstKey(ledger, { dataDir, givenKey: given('compose') })
    await revokeKey(ledger, FIRST, 'compose')
    const next = given('compose')
    expect(await ensureFirstKey(ledger, { dataDir, givenKey: next })).toMatchObject({ revokedAt: null })
    expect((await check(ledger, next)).kind).toBe('valid')
  })

  test('that is one with few scopes does not get more of them by being given', async () => {
    const { ledger, dataDir } = await ledgerWithFirst()
    const { key, record } = await makeKey(ledger, FIRST, { owner: 'ann', scopes: ['jobs:read'] })
    await ensureFirstKey(ledger, { dataDir, givenKey: key })
    expect(await check(ledger, key)).toMatchObject({ principal: { scopes: new Set(['jobs:read']) } })
    expect(await listKeys(ledger, FIRST)).toContainEqual(record)
  })
})
