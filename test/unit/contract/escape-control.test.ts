/** What is shown of untrusted text: nothing invisible, and nothing else changed. */
import { escapeControl } from '@muster/contract'
import fc from 'fast-check'
import { expect, test } from 'vitest'

test.each([
  ['\x1b[2Jx', '\\x1b[2Jx'],
  ['a\r\nb\tc', 'a\\x0d\nb\tc'],
  ['\x9b1m\x7f', '\\x9b1m\\x7f'],
  ['\u202egpj.exe\u200b', '\\u202egpj.exe\\u200b'],
  [String.fromCodePoint(0xe0041), '\\u{e0041}'],
  ['naïve ☃ 😀 \\x1b', 'naïve ☃ 😀 \\x1b'],
])('%j is shown as %j', (given, shown) => {
  expect(escapeControl(given)).toBe(shown)
})

test('of any text nothing but newline, tab and visible characters is left, and escaping twice changes no more', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = escapeControl(text)
      expect(shown).not.toMatch(/[^\P{Cc}\n\t]|\p{Bidi_Control}|\u200b|\ufeff|[\u{e0000}-\u{e007f}]/u)
      expect(escapeControl(shown)).toBe(shown)
    }),
  )
})
