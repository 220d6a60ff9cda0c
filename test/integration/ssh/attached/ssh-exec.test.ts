/** Commands on a real sshd: how they start, what they are given, and what of their output is kept. */
import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { reach, run } from '../../../support/ssh/ssh.ts'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
/** What is hard to quote for any of the shells and programs on the way. */
const HOSTILE = [
  '',
  ' ',
  "it's",
  '"; id; "',
  '$(id)',
  '`id`',
  '\\',
  'a\nb\n',
  '-n',
  '--',
  'a=b',
  '*',
  '~',
  'äöü 🙂',
  '\t\r',
]

describe('a command ends', () => {
  test('only a command with exit status 0 has succeeded', async () => {
    const end = await run(await reach(), 'echo out; echo err >&2')
    expect(end).toMatchObject({ state: 'succeeded', reason: null, remote: 'ended', exitCode: 0, signal: null })
    expect(end).toMatchObject({ detail: null, out: 'out\n', err: 'err\n', outputComplete: true })
  })

  test.each([1, 2, 125, 126, 127, 128, 143, 254, 255])('a command with exit status %i has failed', async (status) => {
    const end = await run(await reach(), `exit ${status}`)
    expect(end).toMatchObject({ state: 'failed', reason: 'exit_nonzero', remote: 'ended', exitCode: status })
  })

  test.each(['TERM', 'KILL', 'HUP', 'SEGV'])('as failed by SIG%s, without an exit status', async (signal) => {
    const end = await run(await reach(), `kill -s ${signal} $$`)
    expect(end).toMatchObject({ state: 'failed', reason: 'signal', remote: 'ended', exitCode: null, signal })
  })

  test('with the status of what could not be found', async () => {
    const end = await run(await reach(), { form: { argv: ['no-such-program'] } })
    expect(end).toMatchObject({ state: 'failed', exitCode: 127, detail: expect.stringContaining('not found') })
  })

  test('one by one on the same connection, and many at a time', async () => {
    const connection = await reach()
    const ends = await Promise.all(Array.from({ length: 30 }, (_, i) => run(connection, `echo ${i}; exit ${i % 3}`)))
    expect(ends.map(({ out, exitCode }) => [out, exitCode])).toEqual(ends.map((_, i) => [`${i}\n`, i % 3]))
  })
})

describe('a command is given', () => {
  test('the arguments of argv exactly, without a shell reading them', async () => {
    const { out } = await run(await reach(), { form: { argv: ['printf', '%s\\0', ...HOSTILE] } })
    expect(out.split('\0').slice(0, -1)).toEqual(HOSTILE)
  })

  test('its environment exactly, on top of that of the account', async () => {
    const env = Object.fromEntries(HOSTILE.map((value, i) => [`VALUE_${i}`, value]))
    const { out } = await run(await reach(), { form: { command: 'env -0; echo "$HOME"' }, env })
    const found = out.split('\0').filter((entry) => entry.startsWith('VALUE_'))
    expect(found.sort()).toEqual(
      Object.entries(env)
        .map((entry) => entry.join('='))
        .sort(),
    )
    expect(out).toMatch(/\n?\/.+\n$/)
  })

  test('the shell of the account even if the environment names another', async () => {
    const end = await run(await reach(), { form: { command: 'echo "$SHELL"' }, env: { SHELL: '/nonexistent' } })
    expect(end).toMatchObject({ state: 'succeeded', out: '/nonexistent\n' })
  })

  test('its directory, whatever that is called', async () => {
    const connection = await reach()
    const { out } = await run(connection, 'mktemp -d')
    const dir = `${out.trim()}/-x 'y' $z`
    await run(connection, { form: { argv: ['mkdir', dir] } })
    expect(await run(connection, { form: { command: 'pwd' }, cwd: dir, env: { CDPATH: '/' } })).toMatchObject({
      out: `${dir}\n`,
    })
    expect(await run(connection, { form: { argv: ['pwd'] }, cwd: '/usr/../tmp' })).toMatchObject({ out: '/tmp\n' })
    await run(connection, { form: { argv: ['rm', '-r', out.trim()] } })
  })

  test('no chance in a directory that does not exist', async () => {
    const end = await run(await reach(), { form: { command: 'echo ran' }, cwd: '/no/such/directory' })
    expect(end).toMatchObject({ state: 'failed', reason: 'exit_nonzero', out: '' })
    expect(end.exitCode).toBeGreaterThan(0)
    expect(end.err).toContain('/no/such/directory')
  })

  test('1 MB on stdin, byte by byte', async () => {
    const stdin = randomBytes(1_000_000)
    const { out } = await run(await reach(), { form: { command: 'sha256sum' }, stdin })
    expect(out).toContain(sha256(stdin))
    const echoed = await run(await reach(), { form: { argv: ['cat'] }, stdin })
    expect(echoed.stdout).toMatchObject({ bytes: 1_000_000, sha256: sha256(stdin), omittedBytes: 0 })
  })

  test('the end of its input at once when there is none', async () => {
    expect(await run(await reach(), 'cat; echo done')).toMatchObject({ state: 'succeeded', out: 'done\n' })
    expect(await run(await reach(), { form: { command: 'cat' }, stdin: '' })).toMatchObject({ out: '', exitCode: 0 })
  })

  test('more input than it reads, and ends all the same', async () => {
    const end = await run(await reach(), { form: { command: 'exit 4' }, stdin: randomBytes(5_000_000) })
    expect(end).toMatchObject({ state: 'failed', exitCode: 4 })
  })
})

describe('a script is read by', () => {
  test.each([
    ['sh without a first line', 'printf %s "$0:$((6 * 7))"', /:42$/],
    // perl-base is on every Debian; python3 is not.
    ['the interpreter it names', '#!/usr/bin/env perl\nprint 6 * 7, "\\n";', /^42\n$/],
    ['bash with its argument', '#!/bin/bash -e\nfalse\necho not reached', /^$/],
  ])('%s', async (_title, script, wanted) => {
    expect((await run(await reach(), { form: { script } })).out).toMatch(wanted)
  })

  test('its interpreter in the directory and environment it was given', async () => {
    const script = '#!/bin/sh\npwd; echo "$A"; exit 7'
    const end = await run(await reach(), { form: { script }, cwd: '/tmp', env: { A: "it's" } })
    expect(end).toMatchObject({ out: "/tmp\nit's\n", exitCode: 7 })
  })
})

test('nothing of the command, script, environment or input is on any command line', async () => {
  const connection = await reach()
  const look = 'ps -A -ww -o args= | grep -c "[s]ecret-$((40 + 2))"'
  const value = 'secret-42'
  const forms = [{ script: `# ${value}\n${look}` }, { argv: ['sh'] }]
  for (const form of forms) {
    const stdin = 'argv' in form ? `# ${value}\n${look}` : undefined
    const end = await run(connection, { form, env: { TOKEN: value }, ...(stdin === undefined ? {} : { stdin }) })
    expect(end).toMatchObject({ out: '0\n', exitCode: 1 })
  }
  // To be sure that it would have been found: the words of argv are the one thing that has to be there.
  const seen = await run(connection, { form: { argv: ['sh', '-c', look, value] } })
  expect(seen).toMatchObject({ exitCode: 0 })
})

describe('of the output', () => {
  test('everything is kept up to the limit, each stream for itself', async () => {
    const command = 'head -c 1000 /dev/zero; head -c 600 /dev/zero >&2'
    const end = await run(await reach(), command, { outputLimitBytes: 1_000 })
    expect(end.stdout).toMatchObject({ bytes: 1_000, omittedBytes: 0 })
    expect(end.stderr).toMatchObject({ bytes: 600, omittedBytes: 0 })
    expect(end.head.stdout.length + end.stdout.tail.length).toBe(1_000)
    expect(end.head.stderr.length + end.stderr.tail.length).toBe(600)
  })

  test('exactly head and tail are kept above it, and all of it is counted and hashed', async () => {
    const all = Buffer.from(Array.from({ length: 400_000 }, (_, i) => `${i + 1}\n`).join(''))
    const end = await run(await reach(), 'seq 400000; seq 400000 >&2', { outputLimitBytes: 65_537 })
    for (const stream of ['stdout', 'stderr'] as const) {
      expect(end.head[stream]).toEqual(all.subarray(0, 32_768))
      expect(end[stream].tail).toEqual(all.subarray(-32_769))
      expect(end[stream]).toMatchObject({ bytes: all.length, omittedBytes: all.length - 65_537, sha256: sha256(all) })
    }
    expect(end).toMatchObject({ state: 'succeeded', outputComplete: true })
  })

  test('nothing is lost while the receiver is slow', async () => {
    let pending = 0
    let atOnce = 0
    const end = await run(await reach(), 'seq 200000; seq 200000 >&2', {
      outputLimitBytes: 16 * 1024 * 1024,
      onOutput: async () => {
        pending += 1
        atOnce = Math.max(atOnce, pending)
        await new Promise(setImmediate)
        pending -= 1
      },
    })
    const all = Buffer.from(Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join(''))
    expect(atOnce).toBe(1)
    // Not by toEqual, which takes seconds for a million bytes.
    expect([end.head.stdout.equals(all), end.head.stderr.equals(all)]).toEqual([true, true])
  })

  test('more than the hard limit ends the command', async () => {
    const end = await run(await reach(), 'yes', { hardStopBytes: 5_000_000 })
    expect(end).toMatchObject({ state: 'failed', reason: 'output_limit', remote: 'ended' })
    expect(end.stdout.bytes).toBeGreaterThan(5_000_000)
  })

  test('what the receiver cannot take ends the command, and the error comes back', async () => {
    const connection = await reach()
    const fault = new Error('the store is gone')
    const failing = run(connection, 'echo $$; sleep 60', {
      onOutput: async () => {
        throw fault
      },
    })
    await expect(failing).rejects.toBe(fault)
    expect(connection.isOpen()).toBe(true)
  })
})
