/** What is the command's and what is its follower's, in one stream, however the bytes are cut. */

import { betweenMarkers } from '@muster/ssh'
import fc from 'fast-check'
import { expect, test } from 'vitest'

const NONCE = '0123456789abcdef0123456789abcdef'
const MARK = `muster-${NONCE}:`

/** Bytes that like to look like the beginning of a mark. */
const almost = fc
  .array(fc.oneof(fc.constant(MARK.slice(0, -1)), fc.constant('m'), fc.constant('muster-'), fc.string()), {
    maxLength: 20,
  })
  .map((parts) => parts.join(''))
  .filter((text) => !text.includes(MARK))

test('the bytes of the command come out exactly, and none is held back that cannot be the beginning of a mark', () => {
  fc.assert(
    fc.property(almost, fc.array(fc.nat(), { maxLength: 12 }), (output, points) => {
      const lines: string[] = []
      const { pass } = betweenMarkers(NONCE, (line) => lines.push(line))
      pass(Buffer.from(`noise\n${MARK}output\n`))
      const bytes = Buffer.from(output)
      const at = [0, ...points.map((point) => point % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
      const given: Buffer[] = []
      for (const [i, end] of at.slice(1).entries()) {
        given.push(pass(bytes.subarray(at[i], end)))
        const missing = bytes.subarray(Buffer.concat(given).length, end)
        expect(Buffer.from(MARK).subarray(0, missing.length)).toEqual(Buffer.from(missing))
      }
      given.push(pass(Buffer.from(`${MARK}end\n`)))
      expect(Buffer.concat(given).toString()).toBe(output)
      expect(lines).toEqual(['output', 'end'])
    }),
  )
})
