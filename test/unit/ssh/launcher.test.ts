import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MusterError } from '@muster/contract'
import { findMarker, launchLine, type RemoteCommand, type Started, writeLaunch } from '@muster/ssh'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'

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

test.each(['sh', 'dash', 'bash'])('in %s a launcher that is cut off anywhere starts nothing', (shell) => {
  const trace = join(dir, `trace-${shell}`)
  const form = { command: `echo ran > ${trace}` }
  const deadline = { afterMs: 1_000, graceMs: 0 }
  const { launcher } = writeLaunch({ form, cwd: '/', env: { A: 'x\n}\n' } }, NONCE, deadline)
  const start = (sent: Buffer) => {
    const args = ['-c', 'eval "$(head -c "$1")"', 'sh', String(launcher.length)]
    // SHLVL: with a socket as its stdin, bash takes itself for the shell of a log-in and reads the start-up files.
    return spawnSync(shell, args, { input: sent, env: { PATH: '/usr/bin:/bin', SHLVL: '2' }, timeout: 10_000 })
  }
  // Every fifth place, from the last one back: each is a start of a shell, and all of them take too long.
  for (let length = launcher.length - 1; length >= 0; length -= 5) {
    start(launcher.subarray(0, length))
    expect([length, existsSync(trace)]).toEqual([length, false])
  }
  start(launcher)
  expect(existsSync(trace)).toBe(true)
})

test('the line for the shell of the account says nothing of the command', () => {
  const secret = 'hunter2'
  const { launcher } = writeLaunch({ form: { command: secret }, cwd: secret, env: { [secret]: secret } }, NONCE)
  expect(launchLine(launcher)).toMatch(/^exec sh -c 'eval "\$\(head -c "\$1"\)"' sh \d+$/)
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
