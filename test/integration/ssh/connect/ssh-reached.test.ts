/** What a connection tells of itself: address, host key and log-in, as sshd and ssh-keygen have them. */
import { execFileSync } from 'node:child_process'
import { fixedKnownHosts, type SshHost } from '@muster/ssh'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { startAgent } from '../../../support/ssh/agent.ts'
import { dial, keyFile, reach, sshdHost } from '../../../support/ssh/ssh.ts'
import { startSshd } from '../../../support/ssh/sshd.ts'

const sshd = inject('sshd')

/** The fingerprint as ssh-keygen prints it. */
function printOf(publicKeyFile: string): string {
  const [, print = ''] = execFileSync('ssh-keygen', ['-lf', publicKeyFile], { encoding: 'utf8' }).split(' ')
  return print
}

/** The fingerprint of a host key of the daemon, by its line in known_hosts. */
function printOfHostKey(type: string): string {
  const input = `${type} ${sshd.hostKeys[type]}\n`
  const [, print = ''] = execFileSync('ssh-keygen', ['-lf', '-'], { input, encoding: 'utf8' }).split(' ')
  return print
}

const reachedBy = async (changes: Partial<SshHost> = {}) => (await reach(sshdHost(changes))).reached

test('a connection reports its address, the host key shown, the user, and the key that was accepted', async () => {
  const fingerprint = printOf(`${sshd.keys.ed25519}.pub`)
  expect(await reachedBy()).toEqual({
    address: '127.0.1.1',
    port: sshd.port,
    jump: null,
    host_key: printOfHostKey('ssh-ed25519'),
    user: sshd.user,
    credentials: [{ kind: 'key', fingerprint }],
  })
})

test('a host that is named is reported with the address that its name had', async () => {
  const knownHosts = fixedKnownHosts(sshd.knownHosts.replaceAll('127.0.*', 'localhost'))
  const { reached } = await reach(sshdHost({ address: 'localhost' }), { knownHosts })
  expect(reached.address).toBe('127.0.0.1')
})

test('of several keys the one that the host accepted is reported, and of an agent that holds several', async () => {
  const fingerprint = printOf(`${sshd.keys.ed25519}.pub`)
  const credentials = [keyFile(sshd.keys.ecdsaPkcs8), keyFile(sshd.keys.ed25519)]
  const own = await startSshd()
  onTestFinished(() => own.close())
  const stranger = own.facts.keys.ed25519
  expect((await reachedBy({ credentials: [keyFile(stranger), ...credentials] })).credentials).toHaveLength(1)
  const { socket } = await startAgent(stranger, sshd.keys.ed25519)
  const { credentials: used } = await reachedBy({ credentials: [{ kind: 'agent', socket }] })
  expect(used).toEqual([{ kind: 'agent', fingerprint }])
})

describe.skipIf(sshd.password === null)('a password', () => {
  const credentials = [{ kind: 'password', password: sshd.password ?? '' } as const]

  test('has no fingerprint, and its value is not shown', async () => {
    const reached = await reachedBy({ credentials })
    expect(reached.credentials).toEqual([{ kind: 'password', fingerprint: null }])
    expect(JSON.stringify(reached)).not.toContain(sshd.password)
  })

  test('that comes after a key, where a host wants both, is reported after it', async () => {
    const own = await startSshd(['AuthenticationMethods publickey,password'])
    onTestFinished(() => own.close())
    const { facts } = own
    const both = [keyFile(facts.keys.ed25519), { kind: 'password', password: facts.password ?? '' } as const]
    const knownHosts = fixedKnownHosts(facts.knownHosts)
    const { reached } = await reach(sshdHost({ credentials: both }, facts), { knownHosts })
    expect(reached.credentials.map(({ kind }) => kind)).toEqual(['key', 'password'])
  })
})

test('behind a jump host a name has no address that this side knows, an address is reported', async () => {
  const jump = sshdHost({ name: 'bastion', address: '127.0.2.1' })
  expect(await reachedBy({ jump })).toMatchObject({ address: '127.0.1.1', jump: 'bastion' })
  const knownHosts = fixedKnownHosts(`${sshd.knownHosts}${sshd.knownHosts.replaceAll('127.0.*', 'localhost')}`)
  const { reached } = await reach(sshdHost({ address: 'localhost', jump }), { knownHosts })
  expect(reached).toMatchObject({ address: null, jump: 'bastion', host_key: expect.stringMatching(/^SHA256:/) })
})

describe('where a connection fails, it reports how far it got:', () => {
  test('a host key that is not known is the one that was shown, and nobody has logged in', async () => {
    const result = await dial(sshdHost(), { knownHosts: fixedKnownHosts('') })
    expect(result).toMatchObject({ ok: false, reason: 'host_key_unknown' })
    expect(result).toMatchObject({ reached: { address: '127.0.1.1', credentials: [] } })
    if (result.ok) throw new Error('a host without a known key was reached')
    expect(result.detail).toContain(result.reached?.host_key)
  })

  test('a refused log-in has the address and the key of the host', async () => {
    const result = await dial(sshdHost({ credentials: [] }))
    const host_key = printOfHostKey('ssh-ed25519')
    expect(result).toMatchObject({
      reason: 'auth_failed',
      reached: { address: '127.0.1.1', host_key, credentials: [] },
    })
  })

  test('a host that takes no connection has nothing', async () => {
    const result = await dial(sshdHost({ port: 1 }))
    expect(result).toMatchObject({ ok: false, reason: 'conn_refused' })
    expect(result).not.toHaveProperty('reached')
  })
})
