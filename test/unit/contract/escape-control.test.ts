/** What is shown of untrusted text: nothing invisible, and nothing else changed. */
import { blankControl, escapeControl, escapeLine, visibleJson } from '@muster/contract'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const CODE_POINTS = Array.from({ length: 0x110000 }, (_, code) => code)
const visible = (code: number) => escapeControl(String.fromCodePoint(code)) === String.fromCodePoint(code)

test.each([
  ['\x1b[2Jx', '\\x1b[2Jx'],
  ['a\r\nb\tc', 'a\\x0d\nb\tc'],
  ['\x9b1m\x7f', '\\x9b1m\\x7f'],
  ['\u202egpj.exe\u200b', '\\u202egpj.exe\\u200b'],
  [String.fromCodePoint(0xe0041), '\\u{e0041}'],
  ['naïve ☃ 😀 👍🏽 🇩🇪 \\x1b', 'naïve ☃ 😀 👍🏽 🇩🇪 \\x1b'],
  ['日本語　全角 עברית العربية हिन्दी ไทย', '日本語　全角 עברית العربية हिन्दी ไทย'],
  ['👩\u200d💻 ❤\ufe0f', '👩\\u200d💻 ❤\\ufe0f'],
])('%j is shown as %j', (given, shown) => {
  expect(escapeControl(given)).toBe(shown)
})

describe('of all code points', () => {
  test.each([
    ['variation selectors', /\p{Variation_Selector}/u],
    ['tags', /[\u{e0000}-\u{e007f}]/u],
    ['Hangul fillers', /[\u115f\u1160\u3164\uffa0]/u],
    ['bidirectional controls', /\p{Bidi_Control}/u],
    ['joiners and zero-width ones', /\u200b|\u200c|\u200d|\u2060|\ufeff|\u180e|\u034f/u],
    ['controls but newline and tab', /[^\P{Cc}\n\t]/u],
    ['format characters', /\p{Cf}/u],
    ['lone surrogates', /\p{Cs}/u],
    ['private use', /\p{Co}/u],
    ['unassigned', /\p{Cn}/u],
    ['line and paragraph separators', /[\p{Zl}\p{Zp}]/u],
    ['ignorable by default', /\p{Default_Ignorable_Code_Point}/u],
  ])('%s are escaped', (_what, kind) => {
    const some = CODE_POINTS.filter((code) => kind.test(String.fromCodePoint(code)))
    expect(some.length).toBeGreaterThan(0)
    expect(some.filter(visible)).toEqual([])
  })

  test('letters, marks, numbers, punctuation, symbols and blanks stay', () => {
    const kind = /[\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]/u
    const isIgnorable = /\p{Default_Ignorable_Code_Point}/u
    const some = CODE_POINTS.filter((code) => kind.test(String.fromCodePoint(code)))
    expect(some.filter((code) => !visible(code) && !isIgnorable.test(String.fromCodePoint(code)))).toEqual([])
  })
})

test('of any text nothing but newline, tab and visible characters is left, and escaping twice changes no more', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = escapeControl(text)
      expect(shown).not.toMatch(/[^\P{C}\n\t]|[\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u)
      expect(escapeControl(shown)).toBe(shown)
      expect(escapeLine(text)).not.toMatch(/[\n\t]/)
      expect(blankControl(text)).not.toMatch(/\p{C}|\p{Default_Ignorable_Code_Point}/u)
    }),
  )
})

test('JSON that is safe to show is the same value, on one line', () => {
  fc.assert(
    fc.property(fc.record({ a: fc.string({ unit: 'binary' }), b: fc.array(fc.string()) }), (value) => {
      const shown = visibleJson(value)
      expect(JSON.parse(shown)).toEqual(value)
      expect(shown).not.toMatch(/\p{C}|[\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u)
    }),
  )
})
