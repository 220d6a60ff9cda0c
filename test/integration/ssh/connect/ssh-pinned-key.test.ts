/** A host key that a request pins: whichever of its keys a real sshd would show first. */
import { fingerprintOf } from '@muster/contract'
import { fixedKnownHosts, type SshHost } from '@muster/ssh'
import { expect, inject, onTestFinished, test } from 'vitest'
import { dial, sshdHost } from '../../../support/ssh/ssh.ts'
import { descendantsOf, startSshd } from '../../../support/ssh/sshd.ts'

const { hostKeys, knownHosts } = inject('sshd')
const KEYS = Object.entries(hostKeys).map(([type, blob]) => [type, fingerprintOf(Buffer.from(blob, 'base64'))] as const)
const pinned = (fingerprint: string, changes: Partial<SshHost> = {}) =>
  sshdHost({ pinnedKey: { fingerprint, isEnough: true }, ...changes })
const nothing = { knownHosts: fixedKnownHosts('') }

test('the test daemon has keys of several types', () => {
  expect(KEYS.length).toBeGreaterThan(1)
})

test.each(KEYS)('its %s key can be the pinned one, with or without known_hosts', async (_type, fingerprint) => {
  for (const options of [nothing, {}]) {
    const result = await dial(pinned(fingerprint), options)
    expect(result).toMatchObject({ ok: true, connection: { reached: { host_key: fingerprint } } })
    if (result.ok) result.connection.close()
  }
})

test('behind a jump host, too, and both connections end together', async () => {
  const own = await startSshd()
  onTestFinished(() => own.close())
  const jump = sshdHost({ name: 'bastion' }, own.facts)
  const known = { knownHosts: fixedKnownHosts(own.facts.knownHosts) }
  for (const [, fingerprint] of KEYS) {
    const result = await dial(pinned(fingerprint, { jump }), known)
    expect(result).toMatchObject({ ok: true })
    if (result.ok) result.connection.close()
  }
  expect(await dial(pinned(`SHA256:${'A'.repeat(43)}`, { jump }), known)).toMatchObject({ reason: 'host_key_changed' })
  await expect.poll(() => descendantsOf(own.facts.pid), { timeout: 10_000 }).toEqual([])
})

test('a key that is none of them is refused with all that it has, and nobody logs in', async () => {
  const wanted = `SHA256:${'A'.repeat(43)}`
  const result = await dial(pinned(wanted), nothing)
  expect(result).toMatchObject({ ok: false, reason: 'host_key_changed', reached: { credentials: [] } })
  for (const [, fingerprint] of KEYS) expect(result).toMatchObject({ detail: expect.stringContaining(fingerprint) })
})

test('a key that must be listed, too, and is not, is refused', async () => {
  for (const [type, fingerprint] of KEYS) {
    const others = knownHosts.split('\n').filter((line) => !line.includes(type))
    const host = sshdHost({ pinnedKey: { fingerprint, isEnough: false } })
    const result = await dial(host, { knownHosts: fixedKnownHosts(others.join('\n')) })
    expect(result).toMatchObject({ ok: false, reason: expect.stringMatching(/^host_key_/) })
  }
})
