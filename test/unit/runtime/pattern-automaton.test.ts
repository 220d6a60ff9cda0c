/** Reading bytes for many patterns at once: as looking at each place for each pattern would. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PatternAutomaton } from '../../../libs/runtime/src/log/pattern-automaton.ts'

/** Few different bytes, so that patterns begin alike, overlap, and end in one another. */
const bytes = (minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom(0, 97, 255), { minLength, maxLength }).map((list) => Buffer.from(list))

/** What plain comparing finds: the longest pattern that ends at each byte, and what has begun at the end. */
function byComparing(patterns: readonly Buffer[], text: Buffer) {
  const longest = (lengths: readonly number[]) => Math.max(0, ...lengths)
  const isAt = (start: number, part: Buffer) => start >= 0 && text.subarray(start, start + part.length).equals(part)
  const ended = [...text].map((_byte, at) =>
    longest(patterns.filter((one) => isAt(at + 1 - one.length, one)).map(({ length }) => length)),
  )
  const begun = patterns.flatMap((one) =>
    [...one.keys()].filter((length) => isAt(text.length - length, one.subarray(0, length))),
  )
  return { ended, begun: longest(begun) }
}

test('it finds what comparing each pattern at each place finds, in one piece or byte by byte', () => {
  fc.assert(
    fc.property(fc.array(bytes(1, 12), { maxLength: 10 }), bytes(0, 60), (patterns, text) => {
      const automaton = new PatternAutomaton(patterns)
      const ended = new Int32Array(text.length)
      const state = automaton.read(0, text, ended)
      let byByte = 0
      const oneByOne = [...text].map((byte) => {
        const one = new Int32Array(1)
        byByte = automaton.read(byByte, Buffer.from([byte]), one)
        return one[0]
      })
      expect({ ended: [...ended], begun: automaton.begunAt(state) }).toEqual(byComparing(patterns, text))
      expect(oneByOne).toEqual([...ended])
      expect(byByte).toBe(state)
    }),
    { numRuns: 3_000 },
  )
})

test('of thousands of long patterns that begin alike each is found', () => {
  const patterns = Array.from({ length: 2_000 }, (_, i) => Buffer.from(`${'x'.repeat(200)}${i} ${'y'.repeat(50)}`))
  const automaton = new PatternAutomaton(patterns)
  for (const pattern of patterns) {
    const ended = new Int32Array(pattern.length)
    automaton.read(0, pattern, ended)
    expect(ended.at(-1)).toBe(pattern.length)
  }
})
