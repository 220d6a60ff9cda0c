/** What is the command's and what is its follower's, in one stream, however the bytes are cut. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { splitDurable } from '../../../libs/ssh/src/durable/stream.ts'

const NONCE = '0123456789abcdef0123456789abcdef'
const MARK = `muster-${NONCE}:`

/** Bytes that like to look like the beginning of a mark. */
const almost = fc
  .array(fc.oneof(fc.constant(MARK.slice(0, -1)), fc.constant('m'), fc.constant('muster-'), fc.string()), {
    maxLength: 20,
  })
  .map((parts) => parts.join(''))
  .filter((text) => !text.includes(MARK))
const cuts = fc.array(fc.nat(), { maxLength: 12 })

/** These bytes in pieces. */
function pieces(bytes: Buffer, points: readonly number[]): Buffer[] {
  const at = [0, ...points.map((point) => point % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end))
}

test('the bytes of the command come out exactly, and none is held back that cannot be the beginning of a mark', () => {
  fc.assert(
    fc.property(almost, cuts, (output, points) => {
      const lines: string[] = []
      const { pass: split } = splitDurable(NONCE, (line) => lines.push(line))
      split('stdout', Buffer.from(`noise\n${MARK}output\nmore noise${MARK}1\n`))
      const bytes = Buffer.from(output)
      let given = Buffer.alloc(0)
      let sent = 0
      for (const piece of pieces(bytes, points)) {
        sent += piece.length
        given = Buffer.concat([given, ...split('stdout', piece).map(([, part]) => part)])
        const missing = bytes.subarray(given.length, sent)
        expect(Buffer.from(MARK).subarray(0, missing.length)).toEqual(Buffer.from(missing))
      }
      given = Buffer.concat([
        given,
        ...split('stdout', Buffer.from(`${MARK}end:missing\nnoise`)).map(([, part]) => part),
      ])
      expect(given.toString()).toBe(output)
      expect(lines).toEqual(['output', 'end:missing'])
    }),
  )
})

test.each(['stdout', 'stderr'] as const)('the streams of the command stay two in one that is %s', (from) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('1', '2'), almost), { maxLength: 8 }), cuts, (parts, points) => {
      const { pass: split } = splitDurable(NONCE, () => {})
      const sent = Buffer.from(`${parts.map(([mark, text]) => `${MARK}${mark}\n${text}`).join('')}${MARK}end:x\n`)
      const got = pieces(sent, points).flatMap((piece) => split(from, piece))
      const all = (stream: string) =>
        Buffer.concat(got.filter(([to]) => to === stream).map(([, bytes]) => bytes)).toString()
      const expected = (mark: string) => parts.flatMap(([of, text]) => (of === mark ? [text] : [])).join('')
      expect([all('stdout'), all('stderr')]).toEqual([expected('1'), expected('2')])
    }),
  )
})

test('a line without end is cut, and what follows is not held', () => {
  const lines: string[] = []
  const { pass: split } = splitDurable(NONCE, (line) => lines.push(line))
  for (let sent = 0; sent < 1_000; sent += 1) split('stdout', Buffer.from(sent === 0 ? `${MARK}end:` : 'x'.repeat(999)))
  split('stdout', Buffer.from(`${MARK}end:missing\n`))
  expect(lines.map((line) => line.length < 200)).toEqual([true, true])
  expect(lines.at(-1)).toBe('end:missing')
})
