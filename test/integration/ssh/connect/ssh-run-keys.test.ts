/** Keys that are certified for one run: what their certificates say, by ssh-keygen, and that a real sshd takes them. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { type CertificateTerms, certifiedBy, certify, fixedKnownHosts, makeRunKey, openPool } from '@muster/ssh'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { makeAuthority, startTrustingSshd } from '../../../support/ssh/authority.ts'
import { dial, keyFile, reach, sshdHost } from '../../../support/ssh/ssh.ts'

/** A certificate for a new key. */
function certified(file: string, changes: Partial<CertificateTerms> = {}) {
  const made = makeRunKey()
  const now = Date.now()
  const times = { validAfterMs: now - 60_000, validBeforeMs: now + 60_000 }
  const terms = { keyId: 'job_1/3', serial: 2n, user: 'deploy', ...times, mayForward: false, ...changes }
  const certificate = certify(made, { pem: readFileSync(file), source: file }, terms)
  if ('problem' in certificate) throw new Error(certificate.problem)
  return { key: made.key, certificate }
}

function shownBySshKeygen(blob: Buffer): string {
  const input = `ssh-ed25519-cert-v01@openssh.com ${blob.toString('base64')}\n`
  return execFileSync('ssh-keygen', ['-L', '-f', '-'], { input, encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } })
}

describe.each([
  ['ed25519', ['-t', 'ed25519']],
  ['ECDSA', ['-t', 'ecdsa', '-b', '521']],
  ['RSA', ['-t', 'rsa', '-b', '2048']],
])('an authority with an %s key', (_title, type) => {
  test('certifies a key that a host takes, and ssh-keygen reads what it says', async () => {
    const authority = makeAuthority(...type)
    const { facts } = await startTrustingSshd(authority)
    const known = { knownHosts: fixedKnownHosts(facts.knownHosts) }
    const good = certified(authority.file, { user: facts.user })
    const { reached } = await reach(sshdHost({ credentials: [{ kind: 'run_key', ...good }] }, facts), known)
    expect(reached.credentials).toMatchObject([
      { kind: 'certificate', certificate: { key_id: 'job_1/3', serial: '2' } },
    ])
    const text = shownBySshKeygen(good.certificate.blob)
    expect(text).toMatch(/Type: ssh-ed25519-cert-v01@openssh.com user certificate/)
    expect(text).toMatch(/Key ID: "job_1\/3"\s+Serial: 2\s/)
    expect(text).toMatch(
      new RegExp(`Principals: \\s+${facts.user}\\s+Critical Options: \\(none\\)\\s+Extensions: \\(none\\)`),
    )
  })
})

test('its time begins a little before and ends when the run must be over', () => {
  const { file } = makeAuthority()
  const times = { validAfterMs: Date.UTC(2030, 0, 1, 12, 0, 0, 999), validBeforeMs: Date.UTC(2030, 0, 1, 12, 5, 0, 1) }
  const text = shownBySshKeygen(certified(file, times).certificate.blob)
  expect(text).toContain('Valid: from 2030-01-01T12:00:00 to 2030-01-01T12:05:01')
})

test('only that for a jump host may make connections to others', () => {
  const { file } = makeAuthority()
  expect(shownBySshKeygen(certified(file, { mayForward: true }).certificate.blob)).toContain('permit-port-forwarding')
})

test('a host refuses it when its time is over, and for another user, and that is told', async () => {
  const authority = makeAuthority()
  const { facts } = await startTrustingSshd(authority)
  const known = { knownHosts: fixedKnownHosts(facts.knownHosts) }
  const tried = async (changes: Partial<CertificateTerms>) => {
    const credential = { kind: 'run_key', ...certified(authority.file, changes) } as const
    const result = await dial(sshdHost({ credentials: [credential] }, facts), known)
    return result.ok ? 'logged in' : result.detail
  }
  expect(await tried({ user: facts.user, validBeforeMs: Date.now() - 5_000 })).toMatch(
    /\(job_1\/3\): refused; it expired at/,
  )
  expect(await tried({ user: 'root' })).toMatch(/refused; its principals are root, not/)
})

test('a file that is no private key certifies nothing, and a line that is no certificate is none', () => {
  const { file } = makeAuthority()
  const made = makeRunKey()
  const terms = { keyId: 'x', serial: 1n, user: 'u', validAfterMs: 0, validBeforeMs: 1, mayForward: false }
  const pem = readFileSync(`${file}.pub`)
  expect(certify(made, { pem, source: 'ca' }, terms)).toEqual({ problem: 'this is a public key; name the private one' })
  expect(certifiedBy(keyFile(`${file}.pub`).pem.toString(), made)).toMatchObject({ problem: expect.any(String) })
})

test.each([
  [true, { open: 0, idle: 0 }],
  [false, { open: 1, idle: 1 }],
])(
  'a connection is closed when its run gives it back, if it is for that run alone: %s',
  async (isForOneRun, counts) => {
    const pool = openPool({ knownHosts: fixedKnownHosts(inject('sshd').knownHosts) })
    onTestFinished(() => pool.close())
    const signal = new AbortController().signal
    const result = await pool.checkOut(sshdHost({ isForOneRun }), { timeoutMs: 20_000, signal, fairKey: 'job' })
    if (!result.ok) throw new Error(result.detail)
    expect(pool.counts()).toEqual({ open: 1, idle: 0 })
    result.checkout.release()
    await expect.poll(() => pool.counts()).toEqual(counts)
  },
)
