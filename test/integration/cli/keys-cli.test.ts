/** `muster keys` as a process, against a real server: what is printed where, and with which status it ends. */
import { ALL_SCOPES, OPERATIONS } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { muster } from '../../support/cli/muster-process.ts'
import { startTestServer } from '../../support/server/server.ts'

/** A server, and `muster` with a key of it: the first one unless another is given. */
async function musterOn() {
  const server = await startTestServer()
  const run = (key: string, ...args: string[]) =>
    muster({ PATH: process.env.PATH, MUSTER_URL: server.url, MUSTER_API_KEY: key }, ...args)
  return { ...server, run, keys: (...args: string[]) => run(server.key, 'keys', ...args) }
}

describe('muster keys create', () => {
  test('prints the text of the key alone, so that it can be piped, and the rest on stderr', async () => {
    const { keys, run } = await musterOn()
    const { status, out, said } = await keys('create', '--owner', 'ci', '--scopes', 'jobs:run,jobs:read')
    const [, keyId] = /^mst_([a-z0-9]{10})_[A-Za-z0-9_-]{43}\n$/.exec(out.toString()) ?? []
    expect(status).toBe(0)
    expect(keyId).toBeDefined()
    expect(said).toBe(
      `Made the API key ${keyId} of ci with jobs:run,jobs:read. Its text is shown this once and kept nowhere.\n`,
    )
    const jobs = await run(out.toString().trim(), 'jobs')
    expect([jobs.status, jobs.said]).toEqual([0, ''])
    const hosts = await run(out.toString().trim(), 'hosts')
    expect([hosts.status, hosts.out.toString()]).toEqual([2, ''])
    expect(hosts.said).toContain(
      `this needs the scope hosts:read, and the API key ${keyId} has only jobs:run, jobs:read`,
    )
  })

  test('answers as JSON with the key and its record, and no word of it on stderr', async () => {
    const { keys } = await musterOn()
    const args = [
      '--owner',
      'ci',
      '--scopes',
      'jobs:read',
      '--scopes',
      'hosts:read',
      '--expires-in-s',
      '3600',
      '--json',
    ]
    const { status, out, said } = await keys('create', ...args)
    const { key, record } = OPERATIONS.create_key.output.parse(JSON.parse(out.toString()))
    expect(status).toBe(0)
    expect(record).toMatchObject({ owner: 'ci', scopes: ['jobs:read', 'hosts:read'], expires_at: expect.any(String) })
    expect(said).not.toContain(key.slice(-43))
  })

  test.each([
    [['create'], '--scopes: is missing; what it may do: jobs:read'],
    [['create', '--owner', 'ci'], '--scopes: is missing; what it may do: jobs:read'],
    [['create', '--owner', 'ci', '--scopes', 'root'], '--scopes: expected one of "jobs:read"'],
    [['create', '--owner', 'a b', '--scopes', 'jobs:read'], '--owner: an owner has up to 64 letters'],
    [['create', 'ci', '--scopes', 'jobs:read'], '"ci" is one word too many; the forms are muster keys, muster keys cr'],
    [['--owner', 'ci'], '--owner is for muster keys create alone'],
    [['revoke', 'k1', '--expires-in-s', '5'], '--expires-in-s is for muster keys create alone'],
    [['rotate', 'k1', '--cancel-jobs'], '--cancel-jobs is for muster keys revoke alone'],
    [['rotate'], 'no key ID given'],
    [['create', '--read-only', '--scopes', 'jobs:run'], '--scopes: with read_only, only jobs:read'],
    [['create', '--read-only', '--no-sudo', '--sudo-users', 'root'], '--sudo-users: no_sudo allows no user at all'],
    [['create', '--read-only', '--forms', 'shell'], '--forms: expected one of "argv"'],
    [['revoke'], 'no key ID given'],
    [['revoke', 'k1', 'k2'], '"k2" is one word too many'],
    [['revoke', 'K1'], 'key_id: a key ID has 1 to 32 lower-case letters and digits; given "K1"'],
    [['delete', 'k1'], 'muster keys does not know "delete"'],
    [['list', 'k1'], '"k1" is one word too many'],
  ])('refuses %j before anything is sent', async (args, message) => {
    const nowhere = { PATH: process.env.PATH, MUSTER_URL: 'http://127.0.0.1:1', MUSTER_API_KEY: 'k' }
    const { status, out, said } = await muster(nowhere, 'keys', ...args)
    expect([status, out.toString(), said]).toEqual([2, '', expect.stringContaining(message)])
  })
})

describe('muster keys', () => {
  test('lists who has which key and how it stands, and revokes one', async () => {
    const { keys, makeKey, run } = await musterOn()
    const { key, keyId } = await makeKey({ owner: 'ann', scopes: ['jobs:read'] })
    await makeKey({ owner: 'ops', expiresInS: 3_600 })
    const before = await keys()
    expect([before.status, before.said]).toEqual([0, ''])
    expect(before.out.toString()).toMatch(/^KEY +OWNER +STATE +CREATED +BY +SCOPES +LIMITS\n/)
    expect(before.out.toString()).toMatch(new RegExp(`^${keyId} +ann +valid +20\\S+ +first +jobs:read +–$`, 'm'))
    expect(before.out.toString()).toMatch(/^\S+ +ops +valid until 20\S+ +20\S+ +first +all scopes +–$/m)
    expect(before.out.toString()).toMatch(/^first +first +valid +20\S+ +– +all scopes +–$/m)

    const revoked = await keys('revoke', keyId)
    expect([revoked.status, revoked.out.toString()]).toEqual([0, expect.stringMatching(`^${keyId} of ann, revoked 20`)])
    expect((await keys('list')).out.toString()).toMatch(new RegExp(`^${keyId} +ann +revoked 20\\S+ `, 'm'))
    const { keys: listed } = OPERATIONS.list_keys.output.parse(JSON.parse((await keys('--json')).out.toString()))
    expect(listed.find(({ key_id: id }) => id === keyId)?.revoked_at).not.toBeNull()
    await expect
      .poll(async () => (await run(key, 'jobs')).said, { timeout: 20_000 })
      .toContain(`the API key ${keyId} was revoked at 20`)
  }, 60_000)

  test('says what cannot be revoked and what to do instead', async () => {
    const { keys } = await musterOn()
    const last = await keys('revoke', 'first')
    expect([last.status, last.out.toString()]).toEqual([2, ''])
    expect(last.said).toMatch(/it is not revoked \(last_key\)\nFor a new secret, rotate it\./)
    expect((await keys('revoke', 'nobody')).said).toMatch(/^muster: there is no API key nobody \(not_found\)/)
  })
})

describe('muster keys with limits', () => {
  test('makes a key that reads, with one flag, and one with limits, which the list shows', async () => {
    const { keys } = await musterOn()
    const readOnly = await keys('create', '--read-only')
    expect([readOnly.status, readOnly.said]).toEqual([
      0,
      expect.stringMatching(/of first with jobs:read,.*hosts:inspect/),
    ])
    const limits = ['--hosts', '@web', '--forms', 'argv', '--no-sudo', '--max-hosts', '5', '--no-force']
    const limited = await keys('create', '--owner', 'ci', '--scopes', 'jobs:run', ...limits)
    expect([limited.status, limited.said]).toEqual([
      0,
      expect.stringContaining('of ci with jobs:run, hosts @web; forms argv; no sudo; max_hosts 5; no force. Its text'),
    ])
    expect((await keys()).out.toString()).toMatch(
      /ci .* jobs:run +hosts @web; forms argv; no sudo; max_hosts 5; no force$/m,
    )
  }, 60_000)

  test('rotates a key, and revokes those that it has made with it', async () => {
    const { keys, run, makeKey } = await musterOn()
    const parent = await makeKey({ owner: 'ann' })
    const child = (await run(parent.key, 'keys', 'create', '--scopes', 'jobs:read')).out.toString().trim()
    const rotated = await keys('rotate', parent.keyId, '--grace-s', '0')
    const text = rotated.out.toString().trim()
    expect([rotated.status, text]).toEqual([0, expect.stringMatching(`^mst_${parent.keyId}_[A-Za-z0-9_-]{43}$`)])
    expect(rotated.said).toContain(`The old secret of ${parent.keyId} is accepted until 20`)
    expect((await run(text, 'jobs')).status).toBe(0)
    const childId = child.split('_')[1]
    const revoked = await keys('revoke', parent.keyId, '--cancel-jobs')
    expect(revoked.out.toString()).toMatch(
      new RegExp(`^${parent.keyId} of ann, revoked 20\\S+, and with it ${childId}\n$`),
    )
  }, 60_000)
})

test('muster help keys tells the forms and what every scope allows', async () => {
  const { out } = await muster({ PATH: process.env.PATH }, 'help', 'keys')
  const text = out.toString()
  for (const form of [
    'muster keys  ',
    'muster keys create --owner',
    'muster keys rotate <key>',
    'muster keys revoke <key>',
    '--expires-in-s …',
    '--cancel-jobs',
  ]) {
    expect(text).toContain(form)
  }
  for (const scope of ALL_SCOPES) expect(text).toMatch(new RegExp(`^  ${scope} +[A-Z].*\\.$`, 'm'))
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(110)
})
