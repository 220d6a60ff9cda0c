/**
 * What `muster run` runs: words, scripts, files and pipes are sent as they are, or refused; nothing is left out unsaid.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { shellWord } from '@muster/contract'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { muster, musterFed } from '../../support/cli/muster-process.ts'
import { apart } from '../../support/runtime/apart.ts'
import { answer, JOB, JOB_ID, scripted } from '../../support/ssh/scripted-server.ts'

const LIMIT_BYTES = 16 * 1024 * 1024
/** No server is needed: nothing that is wrong is sent. */
const NOWHERE = { PATH: process.env.PATH, MUSTER_URL: 'http://127.0.0.1:1', MUSTER_API_KEY: 'k' }
const DEPLOY = '#!/bin/sh\necho "$@"\n'

const dir = mkdtempSync(join(tmpdir(), 'muster-input-'))
const file = (name: string) => join(dir, name)
beforeAll(() => {
  writeFileSync(file('deploy.sh'), DEPLOY)
  writeFileSync(file('data'), 'a\0ž\n')
  writeFileSync(file('it is.sh'), '#!/bin/sh\r\necho hi\r\n')
  writeFileSync(file('marked.sh'), '\ufeff#!/bin/sh\n')
  writeFileSync(file('wide.sh'), Buffer.from('\ufeff#!/bin/sh\n', 'utf16le'))
  writeFileSync(file('wide-be.sh'), Buffer.from('\ufeff#!/bin/sh\n', 'utf16le').swap16())
  writeFileSync(file('latin.sh'), Buffer.from('#!/bin/sh\n# caf\xe9\n', 'latin1'))
  writeFileSync(file('empty.sh'), '')
  writeFileSync(file('largest'), 'ä'.repeat(LIMIT_BYTES / 2))
  writeFileSync(file('too-large'), 'x'.repeat(LIMIT_BYTES + 1))
})
afterAll(() => rmSync(dir, { recursive: true }))

/** What is sent by `muster run` with these words, given this on its stdin where there is any. */
async function sent(args: readonly string[], input?: string | Buffer) {
  const server = await scripted((_, response) => answer(response, 202, JOB))
  const env = { ...NOWHERE, MUSTER_URL: server.cli.client.url }
  const words = ['run', 'web01', '--detach', '--idempotency-key', 'k', ...args]
  const { status, said } = await (input === undefined ? muster(env, ...words) : musterFed(env, input, ...words))
  const { targets, idempotency_key, script, script_args, stdin, command, argv } = JSON.parse(server.bodies[0] ?? '{}')
  expect({ targets, idempotency_key, said, status }).toMatchObject({
    targets: 'web01',
    idempotency_key: 'k',
    status: 0,
  })
  return { fields: JSON.parse(JSON.stringify({ script, script_args, stdin, command, argv })), said }
}

describe('is sent', () => {
  test.each([
    ['a script without arguments', ['--script', 'deploy.sh'], { script: DEPLOY }],
    ['an empty list of arguments as none', ['--script', 'deploy.sh', '--'], { script: DEPLOY }],
    [
      'words behind -- as arguments of the script',
      ['--script', 'deploy.sh', '--', '--dry-run'],
      { script: DEPLOY, script_args: ['--dry-run'] },
    ],
    [
      'each of them exactly',
      ['--script', 'deploy.sh', '--', '--', '-', '', 'a b', '--json', '$HOME'],
      { script: DEPLOY, script_args: ['--', '-', '', 'a b', '--json', '$HOME'] },
    ],
    [
      'a script with a file on its stdin',
      ['--script', 'deploy.sh', '--stdin', 'data', '--', 'x'],
      { script: DEPLOY, stdin: 'a\0ž\n', script_args: ['x'] },
    ],
    [
      'a program with a file on its stdin',
      ['--stdin', 'data', '--', 'wc', '-l'],
      { argv: ['wc', '-l'], stdin: 'a\0ž\n' },
    ],
  ])('%s', async (_what, args, fields) => {
    const paths = args.map((word) => (['deploy.sh', 'data'].includes(word) ? file(word) : word))
    expect(await sent(paths)).toEqual({ fields, said: '' })
  })

  test('a script from a pipe, with a file on its stdin', async () => {
    const { fields, said } = await sent(['--script', '-', '--stdin', file('data'), '--', '-n'], DEPLOY)
    expect([fields, said]).toEqual([{ script: DEPLOY, stdin: 'a\0ž\n', script_args: ['-n'] }, ''])
  })

  test('a script from a file, with a pipe on its stdin', async () => {
    const { fields, said } = await sent(['--script', file('deploy.sh'), '--stdin', '-'], 'piped')
    expect([fields, said]).toEqual([{ script: DEPLOY, stdin: 'piped' }, ''])
  })

  test('16 MiB of a file and 16 MiB of a pipe, byte for byte', async () => {
    const piped = '\u0001é'.repeat(LIMIT_BYTES / 3).padEnd(LIMIT_BYTES - Math.floor(LIMIT_BYTES / 3), 'x')
    expect(Buffer.byteLength(piped)).toBe(LIMIT_BYTES)
    const { fields } = await sent(['--script', file('largest'), '--stdin', '-'], piped)
    expect([fields.script === 'ä'.repeat(LIMIT_BYTES / 2), fields.stdin === piped]).toEqual([true, true])
  })

  test.each([
    ['a pipe', 'printf piped |', ''],
    ['a file', '', `< ${file('data')}`],
  ])('nothing of %s that was not asked for, and that is said', async (_what, before, behind) => {
    const server = await scripted((_, response) => answer(response, 202, JOB))
    const env = { ...NOWHERE, MUSTER_URL: server.cli.client.url }
    const line = `${before} ${shellWord(process.execPath)} apps/cli/bin/muster.js run web01 --detach -- cat ${behind}`
    const { stderr } = await promisify(execFile)('sh', ['-c', line], { env: apart(env) })
    expect([JSON.parse(server.bodies[0] ?? '').stdin, stderr]).toEqual([
      undefined,
      '[stdin is not passed on; use --stdin - for that]\n',
    ])
  })
})

describe('of secrets', () => {
  const secretsOf = async (env: Record<string, string>, args: readonly string[], input?: string) => {
    const server = await scripted((_, response) => answer(response, 202, JOB))
    const all = { ...NOWHERE, MUSTER_URL: server.cli.client.url, ...env }
    const words = ['run', 'web01', '--detach', '--sudo', ...args, '--', 'cat']
    const { said } = await (input === undefined ? muster(all, ...words) : musterFed(all, input, ...words))
    const { sudo_password, secret_env, secret_stdin, stdin } = JSON.parse(server.bodies[0] ?? '{}')
    return { fields: JSON.parse(JSON.stringify({ sudo_password, secret_env, secret_stdin, stdin })), said }
  }

  test('variables come from the environment and from a file, by their names', async () => {
    writeFileSync(file('secrets.env'), '# ours\nDB="two\nlines"\nexport KEY=k=v\n', { mode: 0o600 })
    const args = ['--secret-env', 'TOKEN,OTHER', '--secret-env', 'THIRD', '--secret-env-file', file('secrets.env')]
    const { fields, said } = await secretsOf({ TOKEN: 't', OTHER: '', THIRD: '3' }, args)
    expect(fields).toEqual({ secret_env: { TOKEN: 't', OTHER: '', THIRD: '3', DB: 'two\nlines', KEY: 'k=v' } })
    expect(said).toBe('')
  })

  test('a password comes from a pipe, without its line end, where there is no terminal', async () => {
    expect(await secretsOf({}, ['--ask-sudo-pass'], 'pass word \n')).toEqual({
      fields: { sudo_password: 'pass word ' },
      said: '',
    })
  })

  test('stdin is passed on sealed when that is asked for', async () => {
    expect(await secretsOf({}, ['--secret-stdin'], 'a\nb\n')).toEqual({ fields: { secret_stdin: 'a\nb\n' }, said: '' })
  })

  test.each([
    ['a variable that is not set', ['--secret-env', 'GONE'], 'GONE is not set in your environment; export it, or use'],
    ['a value on the command line', ['--secret-env', 'A=canary'], 'a value on a command line can be seen by others'],
    ['a variable twice', ['--secret-env', 'PATH,PATH'], 'PATH is given more than once'],
    ['a password and stdin from one pipe', ['--ask-sudo-pass', '--secret-stdin'], 'cannot both read stdin'],
    ['stdin in two ways', ['--secret-stdin', '--stdin', '-'], 'cannot both read stdin'],
    ['an empty password', ['--ask-sudo-pass'], 'no password was given'],
  ])('%s is refused, and nothing is sent', async (_what, args, said) => {
    const answered = await secretsOf({}, args, '')
    expect(answered.fields).toEqual({})
    expect(answered.said).toContain(said)
    expect(answered.said).not.toContain('canary')
  })

  test('none is in the line that repeats a command', async () => {
    const args = ['run', 'web01', '--sudo', '--ask-sudo-pass', '--secret-env', 'TOKEN', '--', 'id']
    const env = { ...NOWHERE, TOKEN: 'canary-token' }
    const { said } = await musterFed(env, 'canary-password', ...args)
    expect(said).not.toContain('canary')
  })
})

describe('is refused before anything is sent', () => {
  test.each([
    ['both from one stdin', ['--script', '-', '--stdin', '-'], 'cannot both be "-": there is one stdin'],
    [
      'a script twice',
      ['--script', 'deploy.sh', '--script', 'latin.sh'],
      '--script takes one value, but was given more than once',
    ],
    [
      'a stdin twice',
      ['--stdin', 'data', '--stdin', 'data', '--', 'cat'],
      '--stdin takes one value, but was given more than once',
    ],
    [
      'hosts to leave out, twice',
      ['--exclude', 'a', '--exclude', 'b', '--', 'x'],
      '--exclude takes one value, but was given more than once',
    ],
    ['a variable twice', ['--env', 'A=1', '--env', 'A=2', '--', 'x'], '--env gives A more than once'],
    [
      'a variable that a parser would drop',
      ['--env', '__proto__=1', '--', 'x'],
      '--env: __proto__ is a reserved name, which JavaScript programs confuse with their own; use another',
    ],
    ['a stdin and nothing to read it', ['--stdin', 'data'], 'no command given'],
    ['a wait of what does not wait', ['--detach', '--wait-s', '5', '--', 'x'], '--detach does not wait'],
    ['a pause without batches', ['--batch-pause-s', '5', '--', 'x'], '--batch-pause-s: the pause is between batches'],
    ['a file that is not there', ['--script', 'gone.sh'], 'gone.sh: it cannot be read: ENOENT'],
    ['a directory', ['--script', '.'], 'it cannot be read: EISDIR'],
    ['no name of a file', ['--script', ''], 'it cannot be read: ENOENT'],
    ['an empty script', ['--script', 'empty.sh'], '--script: Too small'],
    [
      'a script of UTF-16',
      ['--script', 'wide.sh'],
      'it is UTF-16, and only UTF-8 can be sent: iconv -f UTF-16 -t UTF-8',
    ],
    ['a script of UTF-16 the other way', ['--script', 'wide-be.sh'], 'it is UTF-16'],
    [
      'a script of Latin-1',
      ['--script', 'latin.sh'],
      'it is not UTF-8, and nothing else can be sent: byte 15 (line 2) is 0xe9',
    ],
    ['such a stdin', ['--stdin', 'latin.sh', '--', 'cat'], '--stdin: '],
    ['a script with a byte-order mark', ['--script', 'marked.sh'], 'it begins with a byte-order mark'],
    ['a script of more than 16 MiB', ['--script', 'too-large'], `it is longer than ${LIMIT_BYTES} bytes`],
    ['a stdin of more than 16 MiB', ['--stdin', 'too-large', '--', 'cat'], `it is longer than ${LIMIT_BYTES} bytes`],
    [
      'a stdin without an end',
      ['--stdin', '/dev/zero', '--', 'cat'],
      `/dev/zero: it is longer than ${LIMIT_BYTES} bytes`,
    ],
  ])('%s', async (_what, args, message) => {
    const words = args.map((word, i) =>
      ['--script', '--stdin'].includes(args[i - 1] ?? '') && !/^(-|\/.*|)$/.test(word) ? file(word) : word,
    )
    const { status, said } = await muster(NOWHERE, 'run', 'web01', ...words)
    expect([status, said]).toEqual([2, expect.stringContaining(message)])
  })

  test('a script with Windows line ends, with the command that mends this file', async () => {
    const { status, said } = await muster(NOWHERE, 'run', 'web01', '--script', file('it is.sh'))
    expect([status, said]).toEqual([2, expect.stringContaining(`sed -i 's/\\r$//' '${file('it is.sh')}'\n`)])
  })

  test('a pipe of more than 16 MiB, and one that is no text', async () => {
    const long = await musterFed(NOWHERE, 'x'.repeat(LIMIT_BYTES + 1), 'run', 'web01', '--stdin', '-', '--', 'cat')
    expect([long.status, long.said]).toEqual([2, expect.stringContaining(`stdin: it is longer than ${LIMIT_BYTES}`)])
    const binary = await musterFed(NOWHERE, Buffer.from([0x61, 0x0a, 0x80]), 'run', 'web01', '--script', '-')
    expect([binary.status, binary.said]).toEqual([2, expect.stringContaining('byte 2 (line 2) is 0x80')])
  })
})

test.each([
  ['cancel', [JOB_ID, '--', 'web01']],
  ['cancel', ['--', JOB_ID]],
  ['rerun', [JOB_ID, '--', '--dry-run']],
  ['show', [JOB_ID, '--', 'web01']],
  ['jobs', ['--', 'x']],
  ['hosts', ['@web', '--', 'x']],
  ['ping', ['web01', '--', 'x']],
  ['keys', ['revoke', 'k', '--', 'x']],
  ['up', ['--', 'x']],
  ['mcp', ['--', 'x']],
])('muster %s %j is refused: nothing is run, so nothing can stand behind --', async (command, args) => {
  const { status, said } = await muster(NOWHERE, command, ...args)
  expect([status, said]).toEqual([2, `muster: muster ${command} runs no command, so nothing can follow --\n`])
})

test.each([
  [['jobs', 'web01'], 'muster jobs takes no words; given "web01"'],
  [['jobs', '--state', 'queued', '--state', 'running'], '--state takes one value, but was given more than once'],
  [['output', JOB_ID, '--stream', 'stderr'], '--stream takes a job ID and one host'],
  [['rerun', JOB_ID, '--detach', '--wait-s', '1'], '--detach does not wait'],
  [['up', 'web01'], 'muster up takes no words; given "web01"'],
  [['mcp', 'web01'], 'muster mcp takes no words; given "web01"'],
])('muster %j is refused: what is given has no use', async (args, message) => {
  const { status, said } = await muster(NOWHERE, ...args)
  expect([status, said]).toEqual([2, expect.stringContaining(message)])
})
