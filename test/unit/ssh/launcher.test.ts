/** The two texts that start a command, given to the shells themselves: what is cut off anywhere starts nothing. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MusterError } from '@muster/contract'
import type { RemoteCommand } from '@muster/ssh'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { findHello, firstLine, type Hello } from '../../../libs/ssh/src/shell/hello.ts'
import { writeLaunch } from '../../../libs/ssh/src/shell/launcher.ts'
import { checkCommand } from '../../../libs/ssh/src/shell/remote-command.ts'
import { findProgram } from '../../support/runtime/programs.ts'

const NONCE = '0123456789abcdef0123456789abcdef'
const LINE = firstLine(NONCE)
const SHELLS: readonly (readonly [string, Hello['shell']])[] = [
  ...([
    ['dash', 'sh'],
    ['bash', 'bash'],
    ['zsh', 'zsh'],
    ['ksh93', 'ksh'],
    ['mksh', 'ksh'],
  ] as const),
  ...([
    ['busybox', 'sh'],
    ['fish', 'fish'],
    ['tcsh', 'csh'],
    ['rbash', 'bash'],
  ] as const),
]
const dir = mkdtempSync(join(tmpdir(), 'muster-launcher-'))
afterAll(() => rmSync(dir, { recursive: true }))

describe.each(SHELLS)('%s', (name, kind) => {
  const program = findProgram(name)
  const test_ = test.skipIf(program === undefined)
  const trace = join(dir, `trace-${name}`)
  afterEach(() => rmSync(trace, { force: true }))
  /** As sshd starts it: leader of a group, with the line as its one argument. */
  const start = (sent: Buffer | string) => {
    const words = [...(name === 'busybox' ? ['busybox', 'sh'] : [program ?? '']), '-c', LINE]
    // SHLVL: with a socket as its stdin, bash takes itself for the shell of a log-in and reads the start-up files.
    const env = { PATH: '/usr/bin:/bin', HOME: dir, SHLVL: '2' }
    return spawnSync('setsid', ['-w', ...words], { input: sent, env, timeout: 10_000 })
  }
  const hello = () => findHello(NONCE, start('').stdout)
  const write = (command: RemoteCommand) => {
    const said = hello()
    if (said === undefined) throw new Error(`${name} said no hello`)
    const launch = writeLaunch(command, NONCE, said, { afterMs: 1_000, graceMs: 0 })
    if ('cannot' in launch) throw new Error(launch.cannot)
    const { body = Buffer.alloc(0) } = launch
    return { ...launch, text: Buffer.concat([launch.text, body]) }
  }

  test_('says hello on both streams, and what it is', () => {
    const { stdout, stderr, status } = start('')
    const said = findHello(NONCE, stdout)
    expect(said).toMatchObject({ shell: kind, isGroup: true, isRestricted: name === 'rbash', hasProc: true })
    expect(findHello(NONCE, stderr)).toEqual(said)
    expect(kind === 'csh' || status !== 0).toBe(true)
  })

  const forms: [string, RemoteCommand['form'], number][] = [
    ['command', { command: `echo ran > ${trace}` }, 61],
    ['command of several lines', { command: `:\necho ran > ${trace}\n` }, 61],
    ['long command', { command: `: ${'x'.repeat(5_000)}; echo ran > ${trace}` }, 397],
    ['program', { argv: ['touch', trace] }, 61],
    ['script', { script: `#!/bin/sh\necho ran > ${trace}\n` }, 61],
    ['long script', { script: `#!/bin/sh\n: ${'x'.repeat(5_000)}\necho ran > ${trace}` }, 397],
  ]
  const allowed = forms.filter(([title]) => name !== 'rbash' || title === 'program')
  test_.each(allowed)('runs a %s whole, and cut off anywhere not at all', (_title, form, step) => {
    const { text } = write({ form, env: { A: 'x' }, ...(name !== 'rbash' && { cwd: '/' }) })
    // Without the last line end nothing is missing. From there back, not every byte: each is a start of a shell.
    for (let length = text.length - 2; length >= 0; length -= length > text.length - 12 ? 1 : step) {
      start(text.subarray(0, length))
      expect([length, existsSync(trace)]).toEqual([length, false])
    }
    start(text)
    expect(existsSync(trace)).toBe(true)
  })

  test_('runs nothing of what follows the command', () => {
    const { text } = write({ form: { argv: ['/nonexistent'] } })
    const { status } = start(Buffer.concat([text, Buffer.from(`\n:\n: >${trace}\n`)]))
    expect([status === 0, existsSync(trace)]).toEqual([false, false])
  })
})

test('a line that is only repeated is no hello', () => {
  expect(findHello(NONCE, Buffer.from(`${LINE}\n`))).toBeUndefined()
})

test.each([
  `hello-${NONCE}:1:in=bash\n`,
  `hello-${NONCE}:x:in=bash:1\n`,
  `hello-${NONCE}:99999999999:in=bash:1\n`,
  `hello-${NONCE}:1:as=$(id):in=bash:1\n`,
  `hello-${NONCE}:1:${'group:'.repeat(300)}in=bash:1\n`,
  `hello-${NONCE}:1:in=bash:1`,
])('%j is no hello', (text) => {
  expect(findHello(NONCE, Buffer.from(text))).toBeUndefined()
})

test.each<[string, RemoteCommand]>([
  ['NUL in a command', { form: { command: 'a\0b' } }],
  ['NUL in an argument', { form: { argv: ['a', 'b\0'] } }],
  ['NUL in an argument of a script', { form: { script: 'a', args: ['\0'] } }],
  ['NUL in a directory', { form: { command: 'a' }, cwd: '\0' }],
  ['NUL in a variable', { form: { command: 'a' }, env: { A: '\0' } }],
  ['a variable name that is shell text', { form: { command: 'a' }, env: { 'A=1; id #': 'x' } }],
  ['an empty variable name', { form: { command: 'a' }, env: { '': 'x' } }],
  ['no program', { form: { argv: [] } }],
])('%s is refused before anything is sent', (_title, command) => {
  expect(() => checkCommand(command)).toThrow(MusterError)
})
