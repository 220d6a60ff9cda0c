/** API keys over a real Redis: one first key, its files, who is let in, and what is kept where. */
import { randomUUID } from 'node:crypto'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureFirstKey, openKeyStore } from '@muster/access'
import { ALL_SCOPES, NO_LIMITS } from '@muster/contract'
import { expect, test } from 'vitest'
import { openTestKeyLedger } from '../../support/access/key-ledger.ts'
import { temporaryDataDir } from '../../support/server/server.ts'

/** What a key is known as that may do everything and belongs to itself. */
const mayAll = (keyId: string) => ({
  kind: 'valid',
  principal: { keyId, owner: keyId, scopes: new Set(ALL_SCOPES), limits: NO_LIMITS, shares: [], countsWith: keyId },
})

const givenKey = (id: string) => `mst_${id}_${randomUUID()}${randomUUID()}`.replaceAll('-', '_')

test('the first key is made once, kept in a file of its owner only, and known at the next start', async () => {
  const ledger = await openTestKeyLedger()
  const dataDir = join(await temporaryDataDir(), 'data')
  const first = await ensureFirstKey(ledger, { dataDir })
  if (first.kind !== 'made') throw new Error(`expected a new key, got ${first.kind}`)
  expect(first.key).toMatch(/^mst_first_[A-Za-z0-9_-]{43}$/)
  expect(await readFile(first.file, 'utf8')).toBe(`${first.key}\n`)
  expect((await stat(first.file)).mode & 0o777).toBe(0o600)
  expect((await stat(dataDir)).mode & 0o777).toBe(0o700)
  expect(await ensureFirstKey(ledger, { dataDir })).toEqual({ kind: 'known', file: first.file })
})

test('servers that start together make one key, and all of them find it', async () => {
  const ledger = await openTestKeyLedger()
  const dataDir = await temporaryDataDir()
  const kinds = (await Promise.all(Array.from({ length: 8 }, () => ensureFirstKey(ledger, { dataDir })))).map(
    (first) => first.kind,
  )
  expect(kinds.toSorted()).toEqual([...Array.from({ length: 7 }, () => 'known'), 'made'])
  expect(await readdir(dataDir)).toEqual(['api-key'])
  const key = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim()
  expect(await openKeyStore(ledger).verifyKey(key)).toEqual(mayAll('first'))
  expect(await ledger.redis.hlen(ledger.keys.apiKeys)).toBe(1)
})

test('Redis holds no text of a key', async () => {
  const ledger = await openTestKeyLedger()
  const first = await ensureFirstKey(ledger, { dataDir: await temporaryDataDir() })
  if (first.kind !== 'made') throw new Error(`expected a new key, got ${first.kind}`)
  const stored = JSON.stringify(await ledger.redis.hgetall(ledger.keys.apiKeys))
  expect(stored).toContain('sha256')
  expect(stored).not.toContain(first.key.slice('mst_first_'.length))
})

test('when the file is gone, or of another Redis, the operator is told how to get a new key', async () => {
  const ledger = await openTestKeyLedger()
  const dataDir = await temporaryDataDir()
  await ensureFirstKey(ledger, { dataDir })
  await rm(join(dataDir, 'api-key'))
  const told = await ensureFirstKey(ledger, { dataDir })
  expect(told).toMatchObject({ kind: 'elsewhere', advice: expect.stringContaining('MUSTER_API_KEY') })
  await ledger.redis.hdel(ledger.keys.apiKeys, 'first')
  expect(await ensureFirstKey(ledger, { dataDir })).toMatchObject({ kind: 'made' })
})

test('a key of the operator is accepted instead of a new one, and the one it replaces no longer is', async () => {
  const ledger = await openTestKeyLedger()
  const dataDir = await temporaryDataDir()
  const [old, next] = [givenKey('compose'), givenKey('compose2')]
  expect(await ensureFirstKey(ledger, { dataDir, givenKey: old })).toEqual({
    kind: 'given',
    keyId: 'compose',
    revokedAt: null,
  })
  expect(await openKeyStore(ledger).verifyKey(old)).toEqual(mayAll('compose'))
  await ensureFirstKey(ledger, { dataDir, givenKey: next })
  expect(await openKeyStore(ledger).verifyKey(next)).toEqual(mayAll('compose2'))
  expect(await openKeyStore(ledger).verifyKey(old)).toEqual({ kind: 'unknown' })
  expect(await readdir(dataDir)).toEqual([])
})

test('a key of the operator that is too weak is refused without being shown', async () => {
  const ledger = await openTestKeyLedger()
  const refused = ensureFirstKey(ledger, { dataDir: await temporaryDataDir(), givenKey: 'letmein' })
  await expect(refused).rejects.toMatchObject({ code: 'invalid_config' })
  await expect(refused).rejects.not.toThrow(/letmein/)
})

test.each([
  ['another secret', (key: string) => `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`],
  ['another ID', (key: string) => key.replace('first', 'other')],
  ['a part of it', (key: string) => key.slice(0, -1)],
  ['nothing', () => ''],
  ['a text of another form', () => '*'],
])('%s is nobody', async (_what, change) => {
  const ledger = await openTestKeyLedger()
  const first = await ensureFirstKey(ledger, { dataDir: await temporaryDataDir() })
  if (first.kind !== 'made') throw new Error(`expected a new key, got ${first.kind}`)
  expect(await openKeyStore(ledger).verifyKey(first.key)).toEqual(mayAll('first'))
  expect(await openKeyStore(ledger).verifyKey(change(first.key))).toEqual({ kind: 'unknown' })
})

test('a key that was taken out of Redis is refused by a store that does not remember it', async () => {
  const ledger = await openTestKeyLedger()
  const first = await ensureFirstKey(ledger, { dataDir: await temporaryDataDir() })
  if (first.kind !== 'made') throw new Error(`expected a new key, got ${first.kind}`)
  await ledger.redis.hdel(ledger.keys.apiKeys, 'first')
  expect(await openKeyStore(ledger).verifyKey(first.key)).toEqual({ kind: 'unknown' })
})

test('a fault of our own is not reported as Redis being away', async () => {
  const ledger = await openTestKeyLedger()
  await ledger.redis.set(ledger.keys.apiKeys, 'no hash')
  const verifying = openKeyStore(ledger).verifyKey(givenKey('k1'))
  await expect(verifying).rejects.toThrow(/WRONGTYPE/)
  await expect(verifying).rejects.not.toHaveProperty('code', 'ledger_unavailable')
})
