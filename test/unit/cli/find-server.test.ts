/** Which server `muster` finds, and that no stored key goes to another address than its own. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readSettings } from '@muster/runtime'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createClient } from '../../../apps/cli/src/client/client.ts'
import { findServer } from '../../../apps/cli/src/client/find-server.ts'
import { keepServer } from '../../../apps/cli/src/client/known-servers.ts'

const ELSEWHERE = 'https://muster.example.com'
const LOCAL = 'http://127.0.0.1:7420'

let home: string
let state: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'muster-find-'))
  state = join(home, '.local/state/muster')
  put('.config/muster/inventory.yaml', '')
  put('.local/state/muster/server.json', JSON.stringify({ url: LOCAL, pid: 1 }))
  put('.local/state/muster/api-key', 'local-key\n')
})
afterEach(() => rmSync(home, { recursive: true }))

function put(name: string, text: string): string {
  const path = join(home, name)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

/** The server that is found, or why there is none. */
async function found(env: Record<string, string>, more: { server?: string; envFile?: string } = {}): Promise<string> {
  try {
    const settings = await readSettings({ env: { HOME: home, ...env }, envFile: more.envFile })
    const { url, apiKey } = await findServer(settings, more.server)
    return `${url} ${apiKey}`
  } catch (error) {
    return String(error)
  }
}

const settings = (text: string) => put('.config/muster/muster.env', text)
const known = (name: string, url: string) => keepServer(state, name, { url, apiKey: `${name}-key`, allowsHttp: false })

describe('the key of the local server', () => {
  test('goes to the local server, however that is named', async () => {
    expect(await found({})).toBe(`${LOCAL} local-key`)
    expect(await found({ MUSTER_URL: `${LOCAL}/` })).toBe(`${LOCAL} local-key`)
  })

  test.each([
    ELSEWHERE,
    'http://127.0.0.1:7421',
    'https://127.0.0.1:7420',
    `${LOCAL}/elsewhere`,
    'http://localhost:7420',
  ])('does not go to %s', async (url) => {
    expect(await found({ MUSTER_URL: url })).toContain(`no API key for ${url}`)
  })

  test.each(['server.json', 'api-key'])('is not taken when others can write to %s', async (name) => {
    const file = join(state, name)
    chmodSync(file, 0o666)
    expect(await found({})).toContain(`chmod go-w ${file}`)
    chmodSync(file, 0o600)
    chmodSync(state, 0o777)
    expect(await found({})).toContain(`chmod go-w ${state}`)
  })
})

describe('a key in a file of settings', () => {
  test('goes to the address in that file, and to no other', async () => {
    settings(`MUSTER_URL=${ELSEWHERE}\nMUSTER_API_KEY=their-key\n`)
    expect(await found({})).toBe(`${ELSEWHERE} their-key`)
    const other = 'https://other.example.com'
    expect(await found({ MUSTER_URL: other })).toMatch(/no API key for .*muster\.env was not stored with this address/)
    expect(await found({ MUSTER_URL: '' })).toBe(`${LOCAL} local-key`)
    expect(await found({ MUSTER_URL: other, MUSTER_API_KEY: 'own' })).toBe(`${other} own`)
  })

  test('goes to no address of another file', async () => {
    settings(`MUSTER_URL=${ELSEWHERE}\n`)
    const envFile = put('key.env', 'MUSTER_API_KEY=their-key\n')
    expect(await found({}, { envFile })).toContain('key.env was not stored with this address')
  })

  test('goes to the local server when the file names no other', async () => {
    settings('MUSTER_API_KEY=own-key\n')
    expect(await found({})).toBe(`${LOCAL} own-key`)
  })
})

describe('a server that a person has logged in to', () => {
  test('is found by --server, by MUSTER_SERVER and by its address, always with its own key', async () => {
    await known('prod', ELSEWHERE)
    const key = { MUSTER_API_KEY: 'another' }
    expect(await found(key, { server: 'prod' })).toBe(`${ELSEWHERE} prod-key`)
    expect(await found({ ...key, MUSTER_SERVER: 'prod' })).toBe(`${ELSEWHERE} prod-key`)
    expect(await found({ MUSTER_URL: `${ELSEWHERE}/` })).toBe(`${ELSEWHERE} prod-key`)
    expect(await found({ MUSTER_URL: 'https://muster.example.com:444' })).toContain('no API key')
  })

  test('is not mixed up with another source: the higher one decides, and equal ones are refused', async () => {
    await known('prod', ELSEWHERE)
    expect(await found({ MUSTER_SERVER: 'prod', MUSTER_URL: LOCAL })).toContain('set one of them')
    settings('MUSTER_SERVER=prod\n')
    expect(await found({})).toBe(`${ELSEWHERE} prod-key`)
    expect(await found({ MUSTER_URL: LOCAL })).toBe(`${LOCAL} local-key`)
    settings(`MUSTER_URL=${LOCAL}\n`)
    expect(await found({ MUSTER_SERVER: 'prod' })).toBe(`${ELSEWHERE} prod-key`)
  })

  test('is refused when it is unknown, has a strange name, or others can write to its file', async () => {
    const file = await known('prod', ELSEWHERE)
    expect(await found({}, { server: 'test' })).toContain('no server "test" is known; you have prod: muster login URL')
    expect(await found({}, { server: '../../api-key' })).toContain('"../../api-key" is no name of a server')
    chmodSync(file, 0o602)
    expect(await found({}, { server: 'prod' })).toContain(`chmod go-w ${file}`)
  })
})

describe('a file of a login that is damaged', () => {
  test('is of no matter for other servers, and is named where it may hold the key that is missing', async () => {
    const [damaged, open] = [await known('damaged', ELSEWHERE), await known('open', ELSEWHERE)]
    writeFileSync(damaged, '{"url":')
    chmodSync(open, 0o602)
    await known('prod', 'https://prod.example.com')
    expect(await found({ MUSTER_URL: 'https://prod.example.com' })).toBe('https://prod.example.com prod-key')
    expect(await found({ MUSTER_URL: LOCAL })).toBe(`${LOCAL} local-key`)
    expect(await found({ MUSTER_URL: ELSEWHERE, MUSTER_API_KEY: 'own' })).toBe(`${ELSEWHERE} own`)
    const told = await found({ MUSTER_URL: ELSEWHERE })
    expect(told).toContain(`no API key for ${ELSEWHERE}`)
    expect(told).toContain(`${damaged} is damaged: log in again`)
    expect(told).toContain(`chmod go-w ${open}`)
    expect(await found({}, { server: 'damaged' })).toContain(`${damaged} is damaged`)
  })
})

describe('an address', () => {
  test.each(['http://muster.example.com', 'http://192.0.2.1:7420', 'http://127.example.com', 'http://[::2]:1'])(
    '%s gets no key without the word of the person: it is not encrypted',
    async (url) => {
      const key = { MUSTER_URL: url, MUSTER_API_KEY: 'k' }
      expect(await found(key)).toMatch(/does not encrypt.*MUSTER_ALLOW_HTTP=1/)
      expect(await found({ ...key, MUSTER_ALLOW_HTTP: '1' })).toBe(`${url} k`)
    },
  )

  test.each(['http://localhost:1', 'http://127.0.0.2:1', 'http://[::1]:1', 'https://muster.example.com/muster'])(
    '%s gets it',
    async (url) => {
      expect(await found({ MUSTER_URL: url, MUSTER_API_KEY: 'k' })).toBe(`${url} k`)
    },
  )

  test.each([
    ['file:///etc/passwd', 'file:///etc/passwd'],
    ['https://me:s3cret@example.com', 'https://example.com'],
    ['https://me:s3@cret@example.com:x/', 'https://example.com:x/'],
    ['me:s3cret@example.com', 'example.com'],
    ['https://example.com/?a=s3cret', 'https://example.com/'],
    ['muster.example.com', 'muster.example.com'],
  ])('%s is none, and is shown without what may be secret', async (url, shown) => {
    const told = await found({ MUSTER_URL: url, MUSTER_API_KEY: 'k' })
    expect(told).toContain(`MUSTER_URL: received "${shown}", which is not accepted; give an address such as`)
    expect(told).not.toMatch(/s3cret|cret@/)
  })

  test.each([
    ['http://127.0.0.1:1', /answers at .*\(muster up starts one\)/],
    ['http://muster.invalid:1', /answers at .*\(is the address right/],
  ])('%s where nobody answers gets the advice that helps there', async (url, told) => {
    await expect(createClient({ url, apiKey: 'k' }).call('list_keys', {})).rejects.toThrow(told)
  })
})
