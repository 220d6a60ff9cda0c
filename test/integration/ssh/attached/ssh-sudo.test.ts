/**
 * Commands under the real sudo on a real sshd: what they are given, what a refusal is called, and that what runs as
 * another user is killed as surely as anything else. Accounts and rules are made for this file and removed after it.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { RemoteCommand } from '@muster/ssh'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { pidsOf } from '../../../support/runtime/processes.ts'
import { reach, run, sshdHost } from '../../../support/ssh/ssh.ts'
import { CAN_MAKE_SUDOERS, makeSudoer, type Sudoer } from '../../../support/ssh/sudoer.ts'

type Kind = 'free' | 'asked' | 'denied' | 'tty' | 'pty'
const RULES: Record<Kind, (user: string) => string> = {
  free: (user) => `${user} ALL=(ALL:ALL) NOPASSWD: ALL`,
  asked: (user) => `Defaults:${user} lecture=always\n${user} ALL=(ALL:ALL) ALL`,
  // Something else than sh.
  denied: (user) => `${user} ALL=(ALL:ALL) NOPASSWD: /usr/bin/true`,
  tty: (user) => `Defaults:${user} requiretty\n${user} ALL=(ALL:ALL) NOPASSWD: ALL`,
  pty: (user) => `Defaults:${user} use_pty\n${user} ALL=(ALL:ALL) NOPASSWD: ALL`,
}
const sudoers = new Map<Kind, Sudoer>()

beforeAll(async () => {
  if (!CAN_MAKE_SUDOERS) return
  for (const kind of ['free', 'asked', 'denied', 'tty', 'pty'] as const) {
    sudoers.set(kind, await makeSudoer(RULES[kind]))
  }
})
afterAll(async () => {
  for (const sudoer of sudoers.values()) await sudoer.close()
})
beforeEach((context) => {
  if (!CAN_MAKE_SUDOERS) context.skip('only root can make accounts and rules for sudo to test with')
})

function sudoer(kind: Kind): Sudoer {
  const found = sudoers.get(kind)
  if (found === undefined) throw new Error(`the account "${kind}" was not made`)
  return found
}
/** What every refusal has in common: it is a failure, and nothing of the command ran. */
const REFUSED = { state: 'failed', remote: 'not_started', exitCode: null, signal: null, out: '', err: '' }
const ECHO = { form: { command: 'echo ran; echo ran >&2' } }
const login = (kind: Kind) => reach(sshdHost({ user: sudoer(kind).user }))
/** With the right password for an account that is asked. */
const right = (user = 'root') => ({ user, password: sudoer('asked').password })
/** All of the ways to come through. `unasked` has a password to give, and nobody asks for it. */
const WAYS: Record<string, { kind: Kind; sudo: () => { user: string; password?: string } }> = {
  'without a password': { kind: 'free', sudo: () => ({ user: 'root' }) },
  'with a password that is asked for': { kind: 'asked', sudo: right },
  'with a password that nobody asks for': { kind: 'free', sudo: () => ({ user: 'root', password: 'never-sent' }) },
  'in a pty of sudo': { kind: 'pty', sudo: () => ({ user: 'root' }) },
}

describe.each(Object.entries(WAYS))('%s, a command', (_title, { kind, sudo }) => {
  const runAs = async (command: RemoteCommand) => run(await login(kind), { ...command, sudo: sudo() })

  test('runs as root, and nothing but its own output comes back', async () => {
    const end = await runAs({ form: { command: 'id -un; echo err >&2' } })
    expect(end).toMatchObject({ state: 'succeeded', remote: 'ended', exitCode: 0, out: 'root\n', err: 'err\n' })
    expect(end.outputComplete).toBe(true)
  })

  test('is given its input byte by byte, and the end of it', async () => {
    for (const stdin of [randomBytes(1_000_000), Buffer.from('one line\n'), Buffer.alloc(0)]) {
      const end = await runAs({ form: { argv: ['cat'] }, stdin })
      expect(Buffer.concat([end.head.stdout, end.stdout.tail]).equals(stdin)).toBe(true)
      expect(end).toMatchObject({ state: 'succeeded', err: '' })
    }
    expect(await runAs({ form: { command: 'cat; echo done' } })).toMatchObject({ out: 'done\n' })
  })

  test('that fails with 1 has failed with 1', async () => {
    const end = await runAs({ form: { command: 'echo no >&2; exit 1' } })
    expect(end).toMatchObject({ state: 'failed', reason: 'exit_nonzero', remote: 'ended', exitCode: 1, err: 'no\n' })
  })

  test('that a signal ends has failed by that signal', async () => {
    const end = await runAs({ form: { command: 'kill -s KILL $$' } })
    expect(end).toMatchObject({ state: 'failed', remote: 'ended' })
    expect([end.exitCode, end.signal, end.reason]).toEqual([null, 'KILL', 'signal'])
  })

  test('in every form has its directory and environment', async () => {
    const where = { cwd: '/usr', env: { A: "it's\n$x" } }
    const wanted = { state: 'succeeded', out: "/usr:it's\n$x:root", err: '' }
    const text = 'printf %s "$PWD:$A:$(id -un)"'
    expect(await runAs({ form: { command: text }, ...where })).toMatchObject(wanted)
    expect(await runAs({ form: { argv: ['sh', '-c', text] }, ...where })).toMatchObject(wanted)
    expect(await runAs({ form: { script: `#!/bin/sh\n${text}` }, ...where })).toMatchObject(wanted)
  })

  test('that runs too long is killed with its whole group, though it ignores TERM', async () => {
    const stubborn = `echo $$; trap "" TERM; (trap "" TERM; while :; do sleep 1; done) & while :; do sleep 1; done`
    const connection = await login(kind)
    const command = { form: { command: stubborn }, sudo: sudo() }
    const end = await run(connection, command, { execTimeoutMs: 500 })
    expect(end).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended' })
    const look = `ps -A -o pgid= -o stat= | grep -v Z | grep "^ *${end.out.trim()} "`
    expect(await run(connection, look)).toMatchObject({ exitCode: 1, out: '' })
    const cancel = new AbortController()
    const cancelled = await run(connection, command, { signal: cancel.signal, onOutput: () => cancel.abort() })
    expect(cancelled).toMatchObject({ state: 'cancelled', reason: 'cancelled_by_user', remote: 'ended' })
  })

  test('is given time to clean up between TERM and KILL, and one TERM only', async () => {
    const command = `trap 'echo cleaned' TERM; echo started; sleep 60 & wait; sleep 0.5; exit 9`
    const options = { execTimeoutMs: 500, killGraceMs: 10_000 }
    const end = await run(await login(kind), { form: { command }, sudo: sudo() }, options)
    expect(end).toMatchObject({ state: 'timed_out', remote: 'ended', exitCode: 9, out: 'started\ncleaned\n' })
  })
})

describe('sudo that does not start the command is never taken for the command', () => {
  test('sudo that wants a password, where there is none, has not started the command', async () => {
    const end = await run(await login('asked'), { ...ECHO, sudo: { user: 'root' } })
    expect(end).toMatchObject({ ...REFUSED, reason: 'sudo_password_required' })
    expect(end.detail).toContain('sudo: a password is required')
  })

  test('when the account may run other programs without a password but not sh: the missing rule is named', async () => {
    const end = await run(await login('denied'), { ...ECHO, sudo: { user: 'root' } })
    expect(end).toMatchObject({ ...REFUSED, reason: expect.stringMatching(/^sudo_(denied|password_required)$/) })
    expect(end.detail).toContain('its rule must allow sh, as in "ACCOUNT ALL=(root) NOPASSWD: /bin/sh"')
  })

  test('a wrong password is tried once and shown nowhere, and the command has not started', async () => {
    const password = `wrong-${randomBytes(8).toString('hex')}`
    const end = await run(await login('asked'), { ...ECHO, sudo: { user: 'root', password } })
    expect(end).toMatchObject({ ...REFUSED, reason: 'sudo_denied' })
    expect(end.detail).toMatch(/did not take the password: .*1 incorrect password attempt/)
    expect(JSON.stringify(end)).not.toContain(password)
  })

  test.each<[string, Kind, string, RegExp]>([
    ['it wants a terminal', 'tty', 'root', /must have a tty/],
    ['there is no such user', 'free', 'no-such-user', /unknown user:? no-such-user/],
  ])('when %s', async (_title, kind, user, words) => {
    const end = await run(await login(kind), { ...ECHO, sudo: { user, password: 'x' } })
    expect(end).toMatchObject({ ...REFUSED, reason: 'sudo_denied', detail: expect.stringMatching(words) })
  })

  test('when the account may not use it at all, though its password is right', async () => {
    const { user, password } = sudoer('denied')
    const end = await run(await reach(sshdHost({ user })), { ...ECHO, sudo: { user: 'root', password } })
    expect(end).toMatchObject({ ...REFUSED, reason: 'sudo_denied', detail: expect.stringContaining('not allowed') })
  })

  test.each(['-u', 'a b', '', 'root\n', "a'b", '#0'])('when the user is called %j, which is refused', async (user) => {
    const refused = run(await login('free'), { ...ECHO, sudo: { user } })
    await expect(refused).rejects.toMatchObject({ code: 'invalid_request', details: { field: 'run_as' } })
  })

  test.each(['two\nlines', 'x'.repeat(256), 'a\0'])('when the password is no single line', async (password) => {
    const refused = run(await login('free'), { ...ECHO, sudo: { user: 'root', password } })
    await expect(refused).rejects.toThrow('the sudo password is not one line of at most 255 bytes')
  })
})

describe('under sudo', () => {
  test('a command runs as the user that was named, though nobody can log in as that one', async () => {
    const { user } = sudoer('free')
    const end = await run(await login('asked'), { form: { command: 'id -un' }, sudo: right('daemon') })
    expect(end).toMatchObject({ state: 'succeeded', out: 'daemon\n' })
    const other = await run(await login('asked'), { form: { argv: ['id', '-un'] }, sudo: right(user) })
    expect(other).toMatchObject({ state: 'succeeded', out: `${user}\n` })
    const stopped = await run(
      await login('asked'),
      { form: { command: 'sleep 60 & wait' }, sudo: right('daemon') },
      { execTimeoutMs: 500 },
    )
    expect(stopped).toMatchObject({ state: 'timed_out', remote: 'ended' })
  })

  test('a command can be cancelled at any moment, and nothing of it is left', async () => {
    const connection = await login('asked')
    const length = `60.${Date.now()}`
    for (const waitMs of [0, 10, 20, 40, 60, 80, 100, 120, 150, 200]) {
      const cancel = new AbortController()
      const command = { form: { argv: ['sleep', length] }, sudo: right() }
      const running = run(connection, command, { signal: cancel.signal })
      setTimeout(() => cancel.abort(), waitMs)
      const end = await running
      expect(end).toMatchObject({ state: 'cancelled', remote: expect.stringMatching(/^(not_started|ended)$/) })
    }
    const left = await run(connection, `ps -A -ww -o args= | grep "[s]leep ${length}"`)
    expect(left).toMatchObject({ exitCode: 1, out: '' })
  })

  test('a password that was given is not remembered on the host', async () => {
    const connection = await login('asked')
    expect(await run(connection, { ...ECHO, sudo: right() })).toMatchObject({ state: 'succeeded' })
    const end = await run(connection, { ...ECHO, sudo: { user: 'root' } })
    expect(end).toMatchObject({ ...REFUSED, reason: 'sudo_password_required' })
  })

  test('the language of sudo is not that of the command', async () => {
    const end = await run(await login('free'), { form: { argv: ['printenv', 'LC_ALL'] }, sudo: { user: 'root' } })
    expect(end).toMatchObject({ exitCode: 1, out: '' })
  })

  test('a prompt that the command prints itself is not answered', async () => {
    // The launcher knows no prompt; the arguments of sudo, which stand in the list of processes, do.
    const script = `ask=$(ps -A -ww -o args= | grep -o '^sudo .*muster-asks-[0-9a-f]*:' |
  grep -o 'muster-asks.*' | tail -n 1)
printf '%s\n' "$ask"; printf '%s' "$ask" >&2
if read -r line; then echo "read $line"; else echo "read nothing"; fi`
    const end = await run(await login('asked'), { form: { argv: ['sh', '-c', script] }, sudo: right() })
    expect(end.out).toMatch(/^muster-asks-[0-9a-f]{32}:\nread nothing\n$/)
    expect(end.err).toBe(end.out.split('\n')[0])
  })

  test('nothing of password, environment and input is in the list of processes, at any moment', async () => {
    const { password } = sudoer('asked')
    const connection = await login('asked')
    const seen = new Set<string>()
    const sampling = { isOver: false }
    const sampler = (async () => {
      while (!sampling.isOver) {
        for (const line of (await promisify(execFile)('ps', ['-A', '-ww', '-o', 'args='])).stdout.split('\n'))
          seen.add(line)
      }
    })()
    const value = `value-${randomBytes(8).toString('hex')}`
    const argv = ['sleep', '0.3']
    for (let i = 0; i < 5; i += 1) {
      const command = { form: { argv }, stdin: `# ${value}`, env: { TOKEN: value }, sudo: right() }
      expect(await run(connection, command)).toMatchObject({ state: 'succeeded' })
    }
    sampling.isOver = true
    await sampler
    const all = [...seen].join('\n')
    expect(all).not.toContain(password)
    expect(all).not.toContain(value)
    // To be sure that it looked at the right time.
    expect(all).toContain('sudo -k -S -p muster-asks-')
    expect(all).toContain('sleep 0.3')
  })
})

test('a command that leaves a root process behind by a sudo of its own is lost when it is stopped', async () => {
  const before = new Set(await pidsOf((args) => args.endsWith('sleep 31.7')))
  const end = await run(await login('free'), `sudo -n sh -c 'trap "" TERM; sleep 31.7; :'`, { execTimeoutMs: 1_000 })
  const left = (await pidsOf((args) => args.endsWith('sleep 31.7'))).filter((pid) => !before.has(pid))
  for (const pid of left) process.kill(pid, 'SIGKILL')
  expect(end).toMatchObject({ state: 'lost', reason: 'kill_unconfirmed', remote: 'unknown', exitCode: null })
  expect(left.length).toBeGreaterThan(0)
})
