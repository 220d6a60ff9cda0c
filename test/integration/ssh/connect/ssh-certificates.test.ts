/** Log-ins with certificates of OpenSSH, made by ssh-keygen and judged by a real sshd. */
import { readFileSync } from 'node:fs'
import { fixedKnownHosts, type SshHost } from '@muster/ssh'
import ssh2 from 'ssh2'
import { describe, expect, inject, test } from 'vitest'
import { takeCertificates } from '../../../../libs/ssh/src/login/certified-key.ts'
import { startAgent } from '../../../support/ssh/agent.ts'
import { certifiedFile, makeAuthority, printOf, startTrustingSshd } from '../../../support/ssh/authority.ts'
import { dial, keyFile, reach, run, sshdHost } from '../../../support/ssh/ssh.ts'

/** A daemon that trusts an authority, and how it is reached. */
async function trusting(...options: string[]) {
  const authority = makeAuthority(...options)
  const own = await startTrustingSshd(authority)
  const { facts } = own
  const known = { knownHosts: fixedKnownHosts(facts.knownHosts) }
  const host = (changes: Partial<SshHost>) => sshdHost(changes, facts)
  return { ...authority, user: facts.user, own, known, host }
}

test.each([
  ['ed25519', ['-t', 'ed25519']],
  ['ECDSA', ['-t', 'ecdsa', '-b', '256']],
  ['a long ECDSA', ['-t', 'ecdsa', '-b', '521']],
  ['RSA', ['-t', 'rsa', '-b', '2048']],
])('a certificate of %s key logs in, and the run tells key ID, serial and authority', async (_title, type) => {
  const { file, makeKey, certify, user, own, known, host } = await trusting(...type)
  const key = makeKey('key', ...type)
  certify(key, '-I', 'who it is', '-n', `other,${user}`, '-z', '42')
  const connection = await reach(host({ credentials: [certifiedFile(key)] }), known)
  expect((await run(connection, 'id -un')).out.trim()).toBe(user)
  const certificate = { key_id: 'who it is', serial: '42', authority: printOf(`${file}.pub`) }
  expect(connection.reached.credentials).toEqual([
    { kind: 'certificate', fingerprint: printOf(`${key}.pub`), certificate },
  ])
  expect(own.log()).toMatch(/Accepted publickey .* ID who it is \(serial 42\) CA /)
})

test('an agent that holds the private half signs for the certificate', async () => {
  const { makeKey, certify, user, known, host } = await trusting()
  for (const type of ['ed25519', 'ecdsa', 'rsa']) {
    const key = makeKey(`of-${type}`, '-t', type)
    const certificate = readFileSync(certify(key, '-I', 'held', '-n', user))
    const { socket } = await startAgent(key)
    const pem = readFileSync(`${key}.pub`)
    const credentials = [{ kind: 'key', pem, source: `${key}.pub`, certificate, agent: socket }] as const
    expect((await reach(host({ credentials }), known)).reached.credentials).toMatchObject([{ kind: 'certificate' }])
  }
})

test('where the certificate is refused or cannot be shown, the key alone is tried', async () => {
  const { makeKey, certify, known, host } = await trusting()
  const { keys } = inject('sshd')
  const other = certify(makeKey('other'), '-I', 'other', '-n', 'root')
  const own = keyFile(keys.ed25519)
  for (const certificate of [readFileSync(other), Buffer.from('nothing')]) {
    const result = await dial(host({ credentials: [{ ...own, certificate }] }), known)
    expect(result).toMatchObject({ ok: false, detail: expect.stringMatching(/certificate of .*: .*; key .*: refused/) })
  }
})

describe('a certificate that does not log in is told in words', () => {
  const later = ['-V', '20500101:20510101']
  const earlier = ['-V', '20100101:20110101']
  test.each([
    [
      'that has expired',
      ['-n', 'USER', ...earlier],
      /refused; it expired at 201[01]-\d\d-\d\dT[\d:]+Z; the host must trust/,
    ],
    ['of the future', ['-n', 'USER', ...later], /refused; it is not valid before 20(49|50)-\d\d-\d\dT/],
    [
      'for somebody else',
      ['-n', 'root,admin'],
      /refused; its principals are root, admin, not \S+; the host must trust/,
    ],
    ['for nobody', [], /refused; it names no principal, and hosts take no such/],
    ['of a host', ['-n', 'USER', '-h'], /: it is the certificate of a host; a user needs one made without/],
  ])('%s', async (_title, options, words) => {
    const { makeKey, certify, user, known, host } = await trusting()
    const key = makeKey('key')
    certify(key, '-I', 'x', ...options.map((word) => word.replace('USER', user)))
    const result = await dial(host({ credentials: [certifiedFile(key)] }), known)
    expect(result).toMatchObject({ ok: false, reason: 'auth_failed', detail: expect.stringMatching(words) })
  })

  test('of an authority that the host does not trust, of another key, and one that is damaged', async () => {
    const { file, makeKey, certify, user, known, host } = await trusting()
    const stranger = makeAuthority()
    const key = makeKey('key')
    const other = makeKey('other')
    const good = readFileSync(certify(key, '-I', 'x', '-n', user), 'utf8')
    const ofOther = readFileSync(certify(other, '-I', 'x', '-n', user), 'utf8')
    const ofStranger = readFileSync(stranger.certify(key, '-I', 'x', '-n', user), 'utf8')
    const tried = async (certificate: string) => {
      const result = await dial(host({ credentials: [{ ...keyFile(key), certificate }] }), known)
      return result.ok ? 'logged in' : result.detail
    }
    expect(await tried(good)).toBe('logged in')
    expect(await tried(ofStranger)).toContain(`must trust its authority ${printOf(`${stranger.file}.pub`)} (Trusted`)
    const [its, own] = [printOf(`${other}.pub`), printOf(`${key}.pub`)]
    expect(await tried(ofOther)).toContain(`it belongs to another key (${its}) than this one (${own}); key `)
    const [type = '', base64 = ''] = good.split(' ')
    for (const length of [8, 60, 200, base64.length - 8]) {
      expect(await tried(`${type} ${base64.slice(0, length)}`)).toContain(': it is damaged; ssh-keygen -L -f')
    }
    expect(await tried(readFileSync(file, 'utf8'))).toContain(': it holds no certificate of OpenSSH')
  })
})

test('nothing is shown to a host if ssh2 is not as it was inside', () => {
  expect(() => takeCertificates(new ssh2.Client())).toThrow('ssh2 keeps its protocol elsewhere now')
  const client = new ssh2.Client()
  Reflect.set(client, '_protocol', {})
  expect(() => takeCertificates(client)).toThrow('ssh2 keeps authPK elsewhere now')
})
