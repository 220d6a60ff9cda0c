/** Going through jump hosts, on a real sshd: each hop is a host of its own, and both ends go together. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fixedKnownHosts, type SshHost } from '@muster/ssh'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { dial, reach, run, sshdHost } from '../../../support/ssh/ssh.ts'
import { descendantsOf, startSshd } from '../../../support/ssh/sshd.ts'

const sshd = inject('sshd')

describe('through a jump host', () => {
  const bastion = (changes: Partial<SshHost> = {}) => sshdHost({ name: 'bastion', address: '127.0.2.1', ...changes })

  test('a command runs on the host behind it', async () => {
    const connection = await reach(sshdHost({ jump: bastion() }))
    expect(await run(connection, 'echo $SSH_CONNECTION')).toMatchObject({ out: expect.stringContaining(' 127.0.1.1 ') })
  })

  test('a command runs through a second jump host too', async () => {
    const jump = bastion({ jump: bastion({ name: 'outer', address: '127.0.3.1' }) })
    expect(await run(await reach(sshdHost({ jump })), 'echo hi')).toMatchObject({ state: 'succeeded', out: 'hi\n' })
  })

  test('each host is verified under its own name', async () => {
    const only = (address: string) => fixedKnownHosts(sshd.knownHosts.replaceAll('127.0.*', address))
    const behind = await dial(sshdHost({ jump: bastion() }), { knownHosts: only('127.0.2.1') })
    expect(behind).toMatchObject({ reason: 'host_key_unknown', detail: expect.stringContaining('web1') })
    const before = await dial(sshdHost({ jump: bastion() }), { knownHosts: only('127.0.1.1') })
    expect(before).toMatchObject({ reason: 'jump_failed', detail: expect.stringMatching(/bastion.*host_key_unknown/) })
  })

  test.each<[string, Partial<SshHost>, RegExp]>([
    ['that cannot be logged in to', { credentials: [] }, /jump host bastion: auth_failed: /],
    ['that is not there', { port: 1 }, /jump host bastion: conn_refused: /],
    ['whose name is unknown', { address: 'no-such-host.invalid' }, /jump host bastion: dns_error: /],
  ])('%s, nothing is reached', async (_title, changes, detail) => {
    const result = await dial(sshdHost({ jump: bastion(changes) }))
    expect(result).toMatchObject({ ok: false, reason: 'jump_failed', detail: expect.stringMatching(detail) })
  })

  test('a host that is not there is not reached either', async () => {
    const result = await dial(sshdHost({ port: 1, jump: bastion() }))
    expect(result).toMatchObject({ reason: 'jump_failed', detail: expect.stringContaining('did not connect to') })
  })

  const noForward =
    /did not connect to .*: it does not forward to 127\.0\.1\.1:\d+ \(administratively prohibited\): see Allow/
  test.each([
    ['AllowTcpForwarding no'],
    ['AllowTcpForwarding remote'],
    ['PermitOpen 127.0.9.9:22'],
    ['DisableForwarding yes'],
  ])('with "%s" nothing is reached, and the setting is named', async (setting) => {
    const own = await startSshd([setting])
    onTestFinished(() => own.close())
    const jump = sshdHost({ name: 'bastion' }, own.facts)
    const result = await dial(sshdHost({ jump }), {
      knownHosts: fixedKnownHosts(own.facts.knownHosts + sshd.knownHosts),
    })
    expect(result).toMatchObject({ reason: 'jump_failed', isRetryable: false, isHostsFault: false })
    expect(result).toMatchObject({ detail: expect.stringMatching(noForward) })
  })

  test.each([['restrict'], ['no-port-forwarding'], ['permitopen="127.0.9.9:22"']])(
    'whose authorized_keys says %s for our key, neither',
    async (option) => {
      const own = await startSshd()
      onTestFinished(() => own.close())
      const keys = readFileSync(own.facts.authorizedKeysFile, 'utf8')
      writeFileSync(own.facts.authorizedKeysFile, keys.replaceAll(/^ssh-/gm, `${option} ssh-`))
      const jump = sshdHost({ name: 'bastion' }, own.facts)
      const knownHosts = fixedKnownHosts(own.facts.knownHosts + sshd.knownHosts)
      const result = await dial(sshdHost({ jump }), { knownHosts })
      expect(result).toMatchObject({ reason: 'jump_failed', detail: expect.stringMatching(noForward) })
    },
  )

  test('a jump host that cannot get to the host is told apart from one that does not forward', async () => {
    for (const changes of [{ port: 1 }, { address: 'no-such-host.invalid' }]) {
      const result = await dial(sshdHost({ ...changes, jump: bastion() }))
      expect(result).toMatchObject({ reason: 'jump_failed', isRetryable: true, isHostsFault: true })
      expect(result).toMatchObject({ detail: expect.stringContaining('it could not get there: ') })
    }
  })

  test('the end of the jump host ends the connection', async () => {
    // A daemon each, so that there is no doubt whose session is whose: process IDs may wrap around.
    const [bastion, own] = [await ownSshd(), await ownSshd()]
    const jump = sshdHost({ name: 'bastion', address: '127.0.2.1' }, bastion)
    const knownHosts = fixedKnownHosts(bastion.knownHosts + own.knownHosts)
    const connection = await reach(sshdHost({ jump }, own), { knownHosts })
    const running = run(connection, 'echo started; sleep 60', {
      onOutput: async () => {
        for (const pid of await descendantsOf(bastion.pid)) {
          try {
            process.kill(pid, 'SIGKILL')
          } catch {
            // It has ended with the one before.
          }
        }
      },
    })
    expect(await running).toMatchObject({ state: 'lost', reason: 'conn_lost', remote: 'unknown' })
    expect(connection.isOpen()).toBe(false)
  })

  test('closing the connection closes that to the jump host too', async () => {
    const own = await ownSshd()
    const jump = sshdHost({ name: 'bastion', address: '127.0.2.1' }, own)
    const connection = await reach(sshdHost({ jump }, own), { knownHosts: fixedKnownHosts(own.knownHosts) })
    expect(await descendantsOf(own.pid)).not.toEqual([])
    connection.close()
    connection.close()
    await expect.poll(() => descendantsOf(own.pid), { timeout: 5_000 }).toEqual([])
  })
})

/** A daemon of the test's own: killing in it harms no other test. */
async function ownSshd() {
  const own = await startSshd()
  onTestFinished(() => own.close())
  return own.facts
}
