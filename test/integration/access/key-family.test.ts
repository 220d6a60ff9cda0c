/** Keys that keys have made: none may do more than the one that made it, and all end with it. */
import { ensureFirstKey, listKeys, openKeyStore, type Principal, revokeKey, rotateKey } from '@muster/access'
import { ALL_SCOPES, NO_LIMITS, type Request } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { openTestKeyLedger, type TestKeyLedger, withoutMacs } from '../../support/access/key-ledger.ts'
import { FIRST, holderOf, makeKey } from '../../support/access/keys.ts'
import { temporaryDataDir } from '../../support/server/server.ts'

type Asked = Omit<Request<'create_key'>, 'scopes'>

const SCOPES = [...ALL_SCOPES]

async function ledgerWithFirst(): Promise<TestKeyLedger> {
  const ledger = await openTestKeyLedger()
  await ensureFirstKey(ledger, { dataDir: await temporaryDataDir() })
  return ledger
}

const make = (ledger: TestKeyLedger, maker: Principal, asked: Asked = {}) =>
  makeKey(ledger, maker, { owner: 'ann', scopes: SCOPES, ...asked })

const kindOf = async (ledger: TestKeyLedger, key: string) => (await openKeyStore(ledger).verifyKey(key)).kind

describe('a key that is made by one that expires', () => {
  test('ends with it unless an earlier end is asked for, and no later one can be', async () => {
    const ledger = await ledgerWithFirst()
    const { holder, record } = await make(ledger, FIRST, { expires_in_s: 60 })
    const [child, earlier] = [await make(ledger, holder), await make(ledger, holder, { expires_in_s: 5 })]
    expect(child.record.expires_at).toBe(record.expires_at)
    expect(Date.parse(earlier.record.expires_at ?? '')).toBeLessThan(Date.parse(record.expires_at ?? ''))
    const later = make(ledger, holder, { expires_in_s: 3_600 })
    await expect(later).rejects.toMatchObject({ code: 'key_limit', details: { field: 'expires_in_s' } })
    await expect(later).rejects.toThrow(`which has the end ${record.expires_at}`)
  })
})

describe('a limit of a key', () => {
  const LIMITS: Asked = {
    hosts: '@web',
    forms: ['argv', 'script'],
    sudo_users: ['deploy', 'app'],
    max_concurrency: 5,
    max_hosts: 10,
    max_exec_timeout_s: 60,
    max_jobs_per_hour: 100,
    max_output_bytes: 4_096,
    no_force: true,
    no_read_only_claims: true,
    no_named_hosts: true,
  }

  test('is that of the keys below it, which may only have a narrower one', async () => {
    const ledger = await ledgerWithFirst()
    const parent = await make(ledger, FIRST, LIMITS)
    const same = await make(ledger, parent.holder)
    const { hosts, no_force: _force, no_read_only_claims: _claims, no_named_hosts: _named, ...others } = LIMITS
    const may = { may_force: false, may_claim_read_only: false, may_name_hosts: false }
    expect(parent.record.limits).toEqual({ ...others, hosts: [hosts], ...may })
    expect(same.record.limits).toEqual(parent.record.limits)
    const narrower = await make(ledger, same.holder, {
      hosts: '{env=prod}',
      forms: ['argv'],
      no_sudo: true,
      max_concurrency: 1,
      max_hosts: 2,
      max_exec_timeout_s: 3,
      max_jobs_per_hour: 4,
      max_output_bytes: 1_024,
    })
    expect(narrower.record.limits).toMatchObject({ hosts: ['@web', '{env=prod}'], forms: ['argv'], sudo_users: [] })
    expect(narrower.record.limits).toMatchObject({ max_concurrency: 1, max_hosts: 2, max_exec_timeout_s: 3 })
    // What counts, counts for each key that has set it.
    expect(narrower.holder.shares.map((share) => [share.key_id, share.max_jobs_per_hour])).toEqual([
      [parent.record.key_id, 100],
      [narrower.record.key_id, 4],
    ])
    expect(same.holder.shares).toEqual(parent.holder.shares)
  })

  test.each([
    ['forms', { forms: ['argv', 'command'] }, '"argv" and "command"', '"argv" and "script"'],
    ['sudo_users', { sudo_users: ['root'] }, '"root"', '"deploy" and "app"'],
    ['max_concurrency', { max_concurrency: 6 }, '6', '5'],
    ['max_hosts', { max_hosts: 11 }, '11', '10'],
    ['max_exec_timeout_s', { max_exec_timeout_s: 61 }, '61', '60'],
    ['max_jobs_per_hour', { max_jobs_per_hour: 101 }, '101', '100'],
    ['max_output_bytes', { max_output_bytes: 4_097 }, '4097', '4096'],
  ] as const)(
    '%s cannot be exceeded by a key below it, and both values are told',
    async (field, more, asked, allowed) => {
      const ledger = await ledgerWithFirst()
      const { holder, record } = await make(ledger, FIRST, LIMITS)
      const before = await ledger.redis.hgetall(ledger.keys.apiKeys)
      const { forms, sudo_users: users, ...numbers } = { forms: undefined, sudo_users: undefined, ...more }
      const making = make(ledger, holder, {
        ...numbers,
        ...(forms === undefined ? {} : { forms: [...forms] }),
        ...(users === undefined ? {} : { sudo_users: [...users] }),
      })
      await expect(making).rejects.toMatchObject({ code: 'key_limit', details: { field } })
      await expect(making).rejects.toThrow(
        `with ${asked} would exceed the API key ${record.key_id}, which has ${allowed}`,
      )
      expect(await ledger.redis.hgetall(ledger.keys.apiKeys)).toEqual(before)
    },
  )

  test('stays what it is, however many keys are made one by another', async () => {
    const ledger = await ledgerWithFirst()
    let { holder } = await make(ledger, FIRST, { hosts: '@web', no_sudo: true })
    for (let depth = 0; depth < 5; depth += 1)
      holder = (await make(ledger, holder, { hosts: `web[1-${9 - depth}]` })).holder
    expect(holder.limits).toMatchObject({
      hosts: ['@web', ...[9, 8, 7, 6, 5].map((n) => `web[1-${n}]`)],
      sudo_users: [],
    })
  })

  test.each([
    ['hosts', (depth: number) => ({ hosts: `web[1-${depth + 1}]` })],
    ['max_jobs_per_hour', () => ({ max_jobs_per_hour: 5 })],
    ['max_concurrency', () => ({ max_concurrency: 5 })],
  ])(
    '%s is set by at most 16 keys one above the other: the next is refused, and all made are valid',
    async (...row) => {
      const [field, askedAt] = row
      const ledger = await ledgerWithFirst()
      let above = FIRST
      for (let depth = 0; depth < 16; depth += 1) above = (await make(ledger, above, askedAt(depth))).holder
      const before = await ledger.redis.hgetall(ledger.keys.apiKeys)
      const refused = make(ledger, above, askedAt(16))
      await expect(refused).rejects.toMatchObject({ code: 'key_limit', details: { field } })
      expect(await ledger.redis.hgetall(ledger.keys.apiKeys)).toEqual(before)
      expect((await make(ledger, above)).holder.limits).toEqual(above.limits)
    },
  )
})

describe('a key that is revoked', () => {
  /** A key, one that it made, one that this made, and one beside them. */
  async function family() {
    const ledger = await ledgerWithFirst()
    const parent = await make(ledger, FIRST)
    const child = await make(ledger, parent.holder)
    const grandchild = await make(ledger, child.holder)
    const other = await make(ledger, FIRST)
    return { ledger, parent, child, grandchild, other }
  }

  test('takes along all that it has made, and no other', async () => {
    const { ledger, parent, child, grandchild, other } = await family()
    const { key, children } = await revokeKey(ledger, FIRST, parent.record.key_id)
    expect(key.revoked_at).not.toBeNull()
    expect(children.toSorted()).toEqual([child.record.key_id, grandchild.record.key_id].toSorted())
    for (const { key: text } of [parent, child, grandchild]) expect(await kindOf(ledger, text)).toBe('revoked')
    expect(await kindOf(ledger, other.key)).toBe('valid')
    expect((await revokeKey(ledger, FIRST, parent.record.key_id)).children).toEqual([])
  })

  test('makes no key any more, though a server may still remember it as valid', async () => {
    const { ledger, parent, child } = await family()
    await revokeKey(ledger, FIRST, parent.record.key_id)
    for (const { holder } of [parent, child]) {
      await expect(make(ledger, holder)).rejects.toMatchObject({ code: 'unauthorized' })
    }
  })

  test('leaves none that is made at the same time, however often that is tried', async () => {
    const ledger = await ledgerWithFirst()
    for (let round = 0; round < 20; round += 1) {
      const parent = await make(ledger, FIRST)
      const child = await make(ledger, parent.holder)
      const makers = [parent, child, parent, child, child]
      const [, ...made] = await Promise.allSettled([
        revokeKey(ledger, FIRST, parent.record.key_id),
        ...makers.map(({ holder }) => make(ledger, holder)),
      ])
      const texts = made.flatMap((one) => (one.status === 'fulfilled' ? [one.value.key] : []))
      for (const text of [parent.key, child.key, ...texts]) expect(await kindOf(ledger, text)).toBe('revoked')
    }
  }, 60_000)

  test('is none of those from which the revoking key comes', async () => {
    const { ledger, parent, child, grandchild } = await family()
    const refused = revokeKey(ledger, grandchild.holder, parent.record.key_id)
    await expect(refused).rejects.toMatchObject({ code: 'key_limit', details: { field: 'key_id' } })
    expect(await kindOf(ledger, parent.key)).toBe('valid')
    const own = await revokeKey(ledger, child.holder, child.record.key_id)
    expect([own.children, await kindOf(ledger, parent.key)]).toEqual([[grandchild.record.key_id], 'valid'])
  })

  test('takes keys of other owners along only for one who sees all', async () => {
    const ledger = await ledgerWithFirst()
    const parent = await make(ledger, FIRST)
    const bobs = await make(ledger, parent.holder, { owner: 'bob' })
    const { holder: ann } = await makeKey(ledger, FIRST, { owner: 'ann', scopes: ['keys:manage'] })
    const refused = revokeKey(ledger, ann, parent.record.key_id)
    await expect(refused).rejects.toMatchObject({ code: 'insufficient_scope', details: { scope: 'jobs:all' } })
    expect(await kindOf(ledger, bobs.key)).toBe('valid')
  })
})

describe('a key that is rotated', () => {
  test('has a new secret, the same limits and children; the old one is accepted for as long as is said', async () => {
    const ledger = await ledgerWithFirst()
    const one = await make(ledger, FIRST, { max_hosts: 3 })
    const child = await make(ledger, one.holder)
    const rotated = await rotateKey(ledger, FIRST, one.record.key_id, 60_000)
    expect(rotated.record).toEqual({ ...one.record, old_secret_until: expect.stringMatching(/Z$/) })
    expect(rotated.key).not.toBe(one.key)
    expect(await holderOf(ledger, rotated.key)).toEqual(one.holder)
    // The old one may do the same, but manage keys: whoever has found it could keep what it may do.
    const scopes = new Set(SCOPES.filter((scope) => scope !== 'keys:manage'))
    expect(await holderOf(ledger, one.key)).toEqual({ ...one.holder, scopes })
    const again = await rotateKey(ledger, FIRST, one.record.key_id, 0)
    const kinds = [one.key, rotated.key, again.key].map((key) => kindOf(ledger, key))
    expect(await Promise.all(kinds)).toEqual(['unknown', 'unknown', 'valid'])
    expect(await kindOf(ledger, child.key)).toBe('valid')
    expect((await revokeKey(ledger, FIRST, one.record.key_id)).children).toEqual([child.record.key_id])
    expect(await kindOf(ledger, again.key)).toBe('revoked')
  })

  test('stays the one that it was before keys had limits', async () => {
    const ledger = withoutMacs(await openTestKeyLedger())
    await ensureFirstKey(ledger, { dataDir: await temporaryDataDir() })
    const { record } = await make(ledger, FIRST)
    const { sha256, source, created_at } = JSON.parse(
      (await ledger.redis.hget(ledger.keys.apiKeys, record.key_id)) ?? '',
    )
    const old = { sha256, source, created_at, owner: 'ann', scopes: ['keys:manage'] }
    await ledger.redis.hset(ledger.keys.apiKeys, record.key_id, JSON.stringify(old))
    const rotated = await rotateKey(ledger, FIRST, record.key_id, 0)
    expect(await holderOf(ledger, rotated.key)).toMatchObject({ owner: 'ann', limits: NO_LIMITS })
    const stored = JSON.parse((await ledger.redis.hget(ledger.keys.apiKeys, record.key_id)) ?? '')
    expect(stored).not.toHaveProperty('limits')
  })

  test('cannot be one that may do more than the rotating one: its text would be a way up', async () => {
    const ledger = await ledgerWithFirst()
    const mighty = await make(ledger, FIRST)
    const limited = await make(ledger, FIRST, { max_hosts: 3 })
    const { holder: few } = await makeKey(ledger, FIRST, { owner: 'ann', scopes: ['keys:manage'] })
    const expiring = await make(ledger, FIRST, { expires_in_s: 600 })
    const counted = await make(ledger, FIRST, { max_jobs_per_hour: 5 })
    const countedElsewhere = await make(ledger, FIRST, { max_jobs_per_hour: 5 })
    const rotating = (who: Principal, keyId: string) => rotateKey(ledger, who, keyId, 0)
    const id = mighty.record.key_id
    await expect(rotating(few, id)).rejects.toMatchObject({ code: 'insufficient_scope' })
    await expect(rotating(limited.holder, id)).rejects.toMatchObject({
      code: 'key_limit',
      details: { field: 'max_hosts' },
    })
    await expect(rotating(expiring.holder, id)).rejects.toMatchObject({ details: { field: 'expires_in_s' } })
    const elsewhere = rotating(counted.holder, countedElsewhere.record.key_id)
    await expect(elsewhere).rejects.toMatchObject({ code: 'key_limit', details: { field: 'key_id' } })
    for (const { key } of [mighty, countedElsewhere]) expect(await kindOf(ledger, key)).toBe('valid')
    const itself = await rotating(limited.holder, limited.record.key_id)
    expect(await kindOf(ledger, itself.key)).toBe('valid')
  })

  test('is none from which the rotating one comes, which would lock its maker out', async () => {
    const ledger = await ledgerWithFirst()
    const parent = await make(ledger, FIRST)
    const child = await make(ledger, parent.holder)
    for (const keyId of ['first', parent.record.key_id]) {
      const refused = rotateKey(ledger, child.holder, keyId, 0)
      await expect(refused).rejects.toMatchObject({ code: 'key_limit', details: { field: 'key_id' } })
      await expect(refused).rejects.toThrow(`comes from ${keyId}`)
    }
    expect(await kindOf(ledger, parent.key)).toBe('valid')
    const below = await rotateKey(ledger, parent.holder, child.record.key_id, 0)
    expect(await kindOf(ledger, below.key)).toBe('valid')
  })

  test('is one of the own family: the text of another would outlive the rotating key', async () => {
    const ledger = await ledgerWithFirst()
    const team = { owner: 'ann', scopes: ['keys:manage' as const] }
    const [one, other] = [await makeKey(ledger, FIRST, team), await makeKey(ledger, FIRST, team)]
    const refused = rotateKey(ledger, one.holder, other.record.key_id, 0)
    await expect(refused).rejects.toMatchObject({ code: 'insufficient_scope', details: { scope: 'jobs:all' } })
    expect(await kindOf(ledger, other.key)).toBe('valid')
    const { holder: admin } = await make(ledger, FIRST)
    const rotated = await rotateKey(ledger, admin, other.record.key_id, 0)
    expect(await kindOf(ledger, rotated.key)).toBe('valid')
  })

  test('is not one that is void, of another owner, or of the operator', async () => {
    const ledger = await ledgerWithFirst()
    const { record } = await make(ledger, FIRST)
    await revokeKey(ledger, FIRST, record.key_id)
    await expect(rotateKey(ledger, FIRST, record.key_id, 0)).rejects.toMatchObject({ code: 'invalid_request' })
    const { holder: bob } = await makeKey(ledger, FIRST, { owner: 'bob', scopes: ['keys:manage'] })
    const theirs = await make(ledger, FIRST)
    await expect(rotateKey(ledger, bob, theirs.record.key_id, 0)).rejects.toMatchObject({ code: 'not_found' })
    const givenKey = `mst_compose_${'a'.repeat(43)}`
    await ensureFirstKey(ledger, { dataDir: await temporaryDataDir(), givenKey })
    await expect(rotateKey(ledger, FIRST, 'compose', 0)).rejects.toThrow('is from MUSTER_API_KEY')
  })
})

describe('a record that is damaged', () => {
  test.each([
    ['is no JSON', () => '{'],
    ['is another thing', () => '"first"'],
    [
      'has a limit that cannot be read',
      (text: string) => JSON.stringify({ ...JSON.parse(text), limits: { hosts: [] } }),
    ],
    ['has a limit that is not known', (text: string) => text.replace('"hosts":[]', '"hosts":[],"max_moons":1')],
    ['has a field that is not known', (text: string) => text.replace('{', '{"limit":1,')],
    ['has an end that is none', (text: string) => text.replace('"expires_at":null', '"expires_at":"soon"')],
  ])('because it %s is no key, and keeps no other from being listed or revoked', async (_what, damage) => {
    const ledger = withoutMacs(await openTestKeyLedger())
    await ensureFirstKey(ledger, { dataDir: await temporaryDataDir() })
    const [one, other] = [await make(ledger, FIRST), await make(ledger, FIRST)]
    const id = one.record.key_id
    const text = (await ledger.redis.hget(ledger.keys.apiKeys, id)) ?? ''
    expect(damage(text)).not.toBe(text)
    await ledger.redis.hset(ledger.keys.apiKeys, id, damage(text))
    expect(await kindOf(ledger, one.key)).toBe('unknown')
    await expect(make(ledger, one.holder)).rejects.toMatchObject({ code: 'unauthorized' })
    expect((await listKeys(ledger, FIRST)).map(({ key_id: keyId }) => keyId)).toContain(other.record.key_id)
    expect((await revokeKey(ledger, FIRST, other.record.key_id)).key.revoked_at).not.toBeNull()
  })
})
