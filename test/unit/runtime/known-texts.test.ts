/** Finding many texts in one: as a regular expression of all of them would, the longest first. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KnownTexts } from '../../../libs/runtime/src/log/known-texts.ts'

/** Few letters, so that texts begin alike and overlap. */
const letters = (minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom('a', 'b', 'é'), minLength, maxLength })
const someTexts = fc.array(letters(4, 24), { maxLength: 8 })

function byExpression(texts: readonly string[], text: string): string {
  const longestFirst = [...texts].sort((a, b) => b.length - a.length)
  return texts.length === 0 ? text : text.replaceAll(new RegExp(longestFirst.join('|'), 'g'), '[x]')
}

test('what is found is what an expression of all texts finds', () => {
  fc.assert(
    fc.property(someTexts, letters(0, 80), (texts, text) => {
      const known = new KnownTexts()
      for (const one of texts) known.add(one)
      expect(known.replaceIn(text, '[x]')).toBe(byExpression(texts, text))
    }),
    { numRuns: 2_000 },
  )
})

test('a text is found until it was removed as often as it was added, and others stay', () => {
  fc.assert(
    fc.property(someTexts, someTexts, letters(0, 80), (kept, removed, text) => {
      const known = new KnownTexts()
      for (const one of [...kept, ...removed, ...removed]) known.add(one)
      for (const one of [...removed, ...removed]) known.remove(one)
      expect(known.replaceIn(text, '[x]')).toBe(byExpression(kept, text))
    }),
    { numRuns: 2_000 },
  )
})

test('of thousands of long lines each is found, at the end of a text too', () => {
  const lines = Array.from({ length: 5_000 }, (_, i) => `line ${i} ${'x'.repeat(200)}${i}`)
  const known = new KnownTexts()
  for (const line of lines) known.add(line)
  for (const line of lines) expect(known.replaceIn(`before ${line}`, '[x]')).toBe('before [x]')
  for (const line of lines) known.remove(line)
  expect(known.replaceIn(`${lines[17]}`, '[x]')).toBe(lines[17])
})

test('a text that was never added can be removed, and changes nothing', () => {
  const known = new KnownTexts()
  known.add('secret')
  known.remove('secrets')
  expect(known.replaceIn('a secret', '[x]')).toBe('a [x]')
})
