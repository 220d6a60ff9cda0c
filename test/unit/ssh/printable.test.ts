/** What is kept of the words of a host: one short line, on which nothing hides. */
import { printable } from '@muster/ssh'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hostileText } from '../../support/server/hostile-text.ts'

test.each([
  ['a\r\n\x1b[2Jb', 'a [2Jb'],
  ['\u202e\ufe0f\u3164\u{e0041}x', 'x'],
  ['Passwort für müller: ', 'Passwort für müller:'],
  ['x'.repeat(300), `${'x'.repeat(200)}…`],
  [`${'x'.repeat(199)}😀😀`, `${'x'.repeat(199)}…`],
])('of %j is kept %j', (said, kept) => {
  expect(printable(said)).toBe(kept)
})

test('of any words one line is kept, of at most 201 characters, all of them visible', () => {
  fc.assert(
    fc.property(fc.oneof(hostileText, fc.string({ unit: 'binary', maxLength: 500 })), (said) => {
      const kept = printable(said)
      expect(kept.length).toBeLessThanOrEqual(201)
      expect(kept).not.toMatch(/\p{C}|[\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u)
    }),
  )
})
