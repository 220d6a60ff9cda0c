/** What makes two attempts at a host the same, and that no password can be guessed from it. */
import { generateKeyPairSync } from 'node:crypto'
import { parseKnownHosts } from '@muster/contract'
import { type Credential, type SshHost, triedDigest } from '@muster/ssh'
import { describe, expect, test } from 'vitest'
import type { TriedKind } from '../../../libs/ssh/src/connect/tried-digest.ts'

const key = (): Credential => {
  const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'sec1', format: 'pem' })
  return { kind: 'key', pem: pem.toString(), source: 'a file' }
}
const password = (text: string): Credential => ({ kind: 'password', password: text })
const KEY = key()
const HOST: SshHost = { name: 'h', address: '10.0.0.1', port: 22, user: 'u', credentials: [KEY] }
const LISTED = '10.0.0.1 ssh-ed25519 AAAA\n'

const digest = (changes: Partial<SshHost> = {}, kind: TriedKind = 'auth', salt = 'a', listed = LISTED) =>
  triedDigest({ ...HOST, ...changes }, kind, { known: parseKnownHosts(listed), salt })

describe('an attempt to log in is another one with', () => {
  test.each<[string, Partial<SshHost>]>([
    ['another key', { credentials: [key()] }],
    ['one credential more', { credentials: [KEY, password('x')] }],
    ['another password', { credentials: [password('y')] }],
    ['another user', { user: 'v' }],
    ['another port', { port: 23 }],
    ['a jump host', { jump: HOST }],
  ])('%s', async (_title, changes) => {
    expect(await digest(changes)).not.toBe(await digest())
  })

  test('another key of the host in known_hosts, and not with a line for another host', async () => {
    expect(await digest({}, 'auth', 'a', '10.0.0.1 ssh-ed25519 BBBB\n')).not.toBe(await digest())
    expect(await digest({}, 'auth', 'a', `${LISTED}10.0.0.2 ssh-ed25519 BBBB\n`)).toBe(await digest())
  })
})

test('an attempt to connect is the same with any credential, and another one at another address', async () => {
  expect(await digest({ credentials: [], user: 'v' }, 'connect')).toBe(await digest({}, 'connect'))
  expect(await digest({ address: '10.0.0.2' }, 'connect')).not.toBe(await digest({}, 'connect'))
})

test('a key has one digest for all workers; that of a password needs the salt of its worker', async () => {
  expect(await digest({}, 'auth', 'b')).toBe(await digest())
  const credentials = [password('secret')]
  expect(await digest({ credentials }, 'auth', 'b')).not.toBe(await digest({ credentials }))
})
