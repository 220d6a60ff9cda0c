/** Durable commands on a real sshd over one connection: as attached ones, in every respect that a caller sees. */
import { randomBytes } from 'node:crypto'
import type { RemoteCommand } from '@muster/ssh'
import { describe, expect, test } from 'vitest'
import { ask, dirOf, follow, newRun, told } from '../../../support/ssh/durable.ts'
import { reach, run } from '../../../support/ssh/ssh.ts'

const durably = async (command: RemoteCommand | string) => {
  const durable = newRun()
  return told(durable, await follow(await reach(), durable, command))
}

describe('a durable command ends as it would in attached mode:', () => {
  const commands: Array<[string, RemoteCommand | string]> = [
    ['success', 'true'],
    ['an exit status', 'echo out; echo err >&2; exit 3'],
    ['the exit status 143', 'exit 143'],
    ['the exit status 255', 'exit 255'],
    ['SIGTERM', 'kill -s TERM $$'],
    ['SIGKILL', 'kill -s KILL $$'],
    ['a program that is missing', 'no-such-program-here 2>/dev/null'],
    [
      'a directory and an environment',
      { form: { command: 'pwd; echo "$A-$HOME-$PWD"' }, cwd: '/tmp', env: { A: "it's" } },
    ],
    ['the directory of the log-in and its umask', 'pwd; umask; env | grep OLDPWD'],
    ['signals that nobody ignores', 'trap "echo caught; exit 4" INT; kill -s INT $$; sleep 5'],
    ['words', { form: { argv: ['printf', '%s|', "a'b", '$HOME', ''] } }],
    ['a script', { form: { script: '#!/bin/sh -e\necho out\necho err >&2\nfalse\necho no' } }],
    ['input', { form: { command: 'sha256sum' }, stdin: randomBytes(300_000) }],
    ['no input', 'cat'],
    ['a second open of its own output', 'echo one; echo two >/dev/stdout; echo three | tee /dev/stderr'],
    ['open files', 'ls /proc/self/fd | tr "\\n" " "'],
    ['variables', 'env | cut -d= -f1 | grep -i -e muster -e "^[a-z]" ; true'],
  ]
  test.each(commands)('%s', async (_name, command) => {
    const attached = await run(await reach(), command)
    const { head: _head, ...expected } = attached
    expect(await durably(command)).toEqual(expected)
  })
})

test('a directory that is missing ends the command as in attached mode', async () => {
  const end = await durably({ form: { command: 'pwd' }, cwd: '/nowhere' })
  expect(end).toMatchObject({ state: 'failed', reason: 'exit_nonzero', exitCode: 2, out: '' })
  expect(end.err).toContain('/nowhere')
})

test('a signal that the shell of the host keeps silent about is shown as unsure, never as an exit status', async () => {
  const end = await durably('kill -s PIPE $$')
  expect(end).toMatchObject({ state: 'failed', reason: 'exit_nonzero', remote: 'ended', exitCode: null, signal: null })
  expect(end.detail).toContain('its status was 141')
})

test('output is byte-exact, with its head handed on and its tail kept', async () => {
  const durable = newRun({ limitBytes: 65_536 })
  const command = 'head -c 3000000 /dev/zero | tr "\\0" x; seq 1 200000; seq 1 100000 >&2'
  const end = told(durable, await follow(await reach(), durable, command))
  const attached = await run(await reach(), command, { outputLimitBytes: 65_536 })
  expect([end.stdout, end.stderr]).toEqual([attached.stdout, attached.stderr])
  expect([end.out, end.err]).toEqual([attached.out, attached.err])
})

test('the host keeps its files to the account, and nothing of the command is in a process list', async () => {
  const durable = newRun()
  const secret = randomBytes(12).toString('hex')
  const command = {
    form: { command: `ps -A -o args=; ls -l ${dirOf(durable)}` },
    env: { TOKEN: secret },
    stdin: secret,
  }
  const end = told(durable, await follow(await reach(), durable, command))
  expect(end.out).toContain('supervisor')
  expect(end.out).not.toContain(secret)
  expect(await ask(`ls -ld ${dirOf(durable)}`)).toMatch(/^drwx------/)
  for (const name of ['out', 'err', 'supervisor']) expect(end.out).toMatch(new RegExp(`^-rw------- .* ${name}$`, 'm'))
  expect(end.out).not.toMatch(/^-.* (command|script|input)$/m)
})

test('a background child that goes on writing does not hold the end', async () => {
  const durable = newRun()
  const end = told(durable, await follow(await reach(), durable, '(while :; do echo x; sleep 0.2; done) & echo $!'))
  expect(end).toMatchObject({ state: 'succeeded', exitCode: 0, outputComplete: false })
  await ask(`kill ${end.out.split('\n')[0]}`)
})
