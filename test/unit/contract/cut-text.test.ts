/** Text that is cut: never longer than asked for, and never half a character at the cut. */
import { firstChars, lastChars, shortened } from '@muster/contract'
import fc from 'fast-check'
import { expect, test } from 'vitest'

test('the beginning and the end of a text are as long as asked for, or one shorter, and hold whole characters', () => {
  const whole = fc.string({ unit: 'grapheme' })
  fc.assert(
    fc.property(whole, fc.integer({ min: -1, max: 20 }), (text, most) => {
      const [first, last] = [firstChars(text, most), lastChars(text, most)]
      expect([text.startsWith(first), text.endsWith(last)]).toEqual([true, true])
      const wanted = Math.min(text.length, Math.max(0, most))
      for (const part of [first, last]) {
        expect(part.length).toBeLessThanOrEqual(wanted)
        expect(part.length).toBeGreaterThanOrEqual(wanted - 1)
        expect(part).not.toMatch(/\p{Surrogate}/u)
      }
    }),
  )
})

test.each([
  ['', 3, ''],
  ['abc', 3, 'abc'],
  ['abcd', 3, 'abc…'],
  ['ab😀', 3, 'ab…'],
  ['ab😀', 4, 'ab😀'],
])('%j within %i is %j', (text, most, wanted) => {
  expect(shortened(text, most)).toBe(wanted)
})
