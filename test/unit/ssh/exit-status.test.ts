/** What is taken of an exit that a host reports: what fits a closed grammar, and nothing else. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  exitWords,
  isSignalled,
  parseExit,
  parseSignal,
  parseStatus,
} from '../../../libs/ssh/src/verdict/exit-status.ts'

test.each([
  ['SIGTERM', 'TERM'],
  ['KILL', 'KILL'],
  ['SIGSIGHUP', 'HUP'],
  ['USR1', 'USR1'],
])('%s is the signal %s', (name, signal) => {
  expect(parseSignal(name)).toBe(signal)
})

test.each([
  ['what OpenSSH says where the protocol has no name', 'SIGSIG@openssh.com'],
  ['no name', 'SIG'],
  ['a small letter', 'SIGterm'],
  ['17 letters', `SIG${'A'.repeat(17)}`],
  ['a line end', 'TERM\n'],
  ['a forged line', 'TERM\n── web02: failed'],
  ['an escape code', 'TERM\x1b[2J'],
  ['a letter that only looks like one', 'TERM\u0130'],
])('%s is no name of a signal, and the command ended by one all the same', (_what, name) => {
  const exit = parseExit(null, name)
  expect(exit).toStrictEqual({ code: null, signal: null, isNamelessSignal: true })
  expect(exit && isSignalled(exit)).toBe(true)
  expect(exit && exitWords(exit)).toBe('a signal, whose name is not valid and was dropped')
})

test.each(['', 'abc', '-1', '1.5', ' 1', '1\n', '007', '4294967296', '9'.repeat(400), 'NaN', '0x10', '١'])(
  '%j is no exit status',
  (digits) => {
    expect(parseStatus(digits)).toBeUndefined()
  },
)

test.each([0, 1, 255, 4_294_967_295])('%d is an exit status', (status) => {
  expect(parseExit(status, undefined)).toStrictEqual({ code: status, signal: null })
  expect(isSignalled({ code: status, signal: null })).toBe(false)
})

test.each([
  [undefined, undefined],
  [null, null],
  [Number.NaN, undefined],
  [-1, 'TERM'],
  ['0', undefined],
])('a host that reports %j and %j has not said how it ended', (status, signal) => {
  expect(parseExit(status, signal)).toBeUndefined()
})

test('no words of an exit hold anything that a host chose but capital letters and digits', () => {
  fc.assert(
    fc.property(fc.option(fc.nat()), fc.string({ unit: 'binary' }), (status, signal) => {
      const exit = parseExit(status, signal)
      expect(exit?.signal ?? 'A').toMatch(/^[A-Z0-9]{1,16}$/)
      expect(exit && exitWords(exit)).toMatch(/^[ -~]{5,60}$/)
    }),
  )
})
