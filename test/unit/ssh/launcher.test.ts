import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MusterError } from '@muster/contract'
import { findMarker, launchLine, type RemoteCommand, type Started, writeLaunch } from '@muster/ssh'
import fc from 'fast-check'
import { afterAll, afterEach, describe, expect, test } from 'vitest'

const NONCE = 'c0ffee'
const dir = mkdtempSync(join(tmpdir(), 'muster-launcher-'))
afterAll(() => rmSync(dir, { recursive: true }))

describe('the marker', () => {
  test('is taken out exactly, wherever it is and however the bytes are cut', () => {
    const noise = fc.oneof(fc.string(), fc.constantFrom('muster-', 'muster-c0ffee', 'mmuster-c0ffe', 'muster-\n'))
    fc.assert(
      fc.property(
        noise,
        noise,
        fc.nat(99_999),
        fc.boolean(),
        fc.array(fc.nat(120)),
        (before, after, pid, isGroup, at) => {
          const watchdog = isGroup ? { watchdogPid: pid + 1, began: '12345' } : {}
          const fields = isGroup ? `group:${pid + 1}:12345` : 'process:'
          const marker = `muster-${NONCE}:${pid}:${fields}\n`
          const all = Buffer.from(before + marker + after)
          const cuts = [0, ...at.filter((cut) => cut < all.length).sort((a, b) => a - b), all.length]
          const found: Started[] = []
          const filter = findMarker(NONCE, (started) => found.push(started))
          const passed = cuts.slice(1).map((end, i) => Buffer.from(filter.pass(all.subarray(cuts[i], end))))
          expect(Buffer.concat([...passed, filter.rest()]).toString()).toBe(Buffer.from(before + after).toString())
          expect(found).toEqual([{ pid, isGroup, ...watchdog }])
        },
      ),
      { numRuns: 1_000 },
    )
  })

  test('that never comes takes nothing away', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (pieces) => {
        const filter = findMarker(NONCE, () => expect.unreachable('there is no marker'))
        const passed = pieces.map((piece) => filter.pass(Buffer.from(piece)))
        expect(Buffer.concat([...passed, filter.rest()])).toEqual(Buffer.from(pieces.join('')))
      }),
    )
  })
})

describe.each(['sh', 'dash', 'bash', 'busybox'].filter((name) => spawnSync(name, ['--help']).error === undefined))(
  'in %s',
  (shell) => {
    const trace = join(dir, `trace-${shell}`)
    afterEach(() => rmSync(trace, { force: true }))
    const start = (line: string, sent: Buffer | string, env: Record<string, string> = {}) => {
      // SHLVL: with a socket as its stdin, bash takes itself for the shell of a log-in and reads the start-up files.
      const options = { input: sent, env: { PATH: bin, SHLVL: '2', ...env }, timeout: 10_000 }
      return spawnSync('/bin/sh', ['-c', line], options)
    }
    const bin = join(dir, `bin-${shell}`)
    mkdirSync(bin)
    const program = spawnSync('sh', ['-c', `command -v ${shell}`], { encoding: 'utf8' }).stdout.trim()
    symlinkSync(program, join(bin, 'sh'))
    for (const name of ['head', 'sleep', 'setsid', 'cat']) symlinkSync(`/usr/bin/${name}`, join(bin, name))

    test.each<[string, number, number]>([
      ['short', 10, 5],
      ['long', 5_000, 97],
    ])('a %s launcher that is cut off anywhere starts nothing', (_title, bytes, step) => {
      const form = { command: `echo ran > ${trace}` }
      const deadline = { afterMs: 1_000, graceMs: 0 }
      const env = { A: 'x\n}\n', B: 'x'.repeat(bytes) }
      const { launcher } = writeLaunch({ form, cwd: '/', env }, NONCE, deadline)
      const line = launchLine(launcher)
      expect(line.includes('head')).toBe(bytes > 4_096)
      // Without the last line end nothing is missing. From there back, not every place: each is a start of a shell.
      for (let length = launcher.length - 2; length >= 0; length -= step) {
        start(line, launcher.subarray(0, length))
        expect([length, existsSync(trace)]).toEqual([length, false])
      }
      start(line, launcher)
      expect(existsSync(trace)).toBe(true)
    })

    test('what follows the launcher is never run, even where a failed exec does not end the shell', () => {
      const { launcher } = writeLaunch({ form: { argv: ['/nonexistent'] } }, NONCE)
      const input = `\n:\n: >${trace}\n`
      const { status, stderr } = start(launchLine(launcher), `${launcher}${input}`, { BASHOPTS: 'execfail' })
      expect(`${stderr}`).toContain(`muster-${NONCE}:`)
      expect([status, existsSync(trace)]).toEqual([127, false])
    })
  },
)

test('the line for the shell of the account says nothing of the command', () => {
  const secret = 'hunter2'
  const lineOf = (command: string) =>
    launchLine(writeLaunch({ form: { command }, cwd: secret, env: { [secret]: secret } }, NONCE).launcher)
  expect(lineOf(secret)).toBe('exec sh')
  expect(lineOf(secret.repeat(1_000))).toMatch(/^exec sh -c 'eval "\$\(head -c "\$1"\)"' sh \d+$/)
})

test.each<[string, RemoteCommand]>([
  ['NUL in a command', { form: { command: 'a\0b' } }],
  ['NUL in an argument', { form: { argv: ['a', 'b\0'] } }],
  ['NUL in a directory', { form: { command: 'a' }, cwd: '\0' }],
  ['NUL in a variable', { form: { command: 'a' }, env: { A: '\0' } }],
  ['a variable name that is shell text', { form: { command: 'a' }, env: { 'A=1; id #': 'x' } }],
  ['an empty variable name', { form: { command: 'a' }, env: { '': 'x' } }],
  ['no program', { form: { argv: [] } }],
  ['stdin for a script', { form: { script: 'a' }, stdin: 'b' }],
])('%s is refused before anything is sent', (_title, command) => {
  expect(() => writeLaunch(command, NONCE)).toThrow(MusterError)
})
