import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OutputCap } from '../../../libs/ssh/src/output/output-cap.ts'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const pieces = fc.array(fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)))

function feed(limitBytes: number, given: readonly Buffer[]) {
  const cap = new OutputCap(limitBytes)
  const head = Buffer.concat(given.map((piece) => Buffer.from(cap.push(piece))))
  return { head, ...cap.end() }
}

test('however the bytes are cut, the head and the tail are kept and everything is counted and hashed', () => {
  fc.assert(
    fc.property(fc.nat({ max: 120 }), pieces, (limitBytes, given) => {
      const all = Buffer.concat(given)
      const { head, tail, bytes, omittedBytes, sha256: digest } = feed(limitBytes, given)
      const headBytes = Math.min(all.length, Math.floor(limitBytes / 2))
      expect(head).toEqual(all.subarray(0, headBytes))
      expect(tail).toEqual(all.subarray(headBytes + omittedBytes))
      expect(omittedBytes).toBe(Math.max(0, all.length - limitBytes))
      expect(bytes).toBe(all.length)
      expect(digest).toBe(sha256(all))
    }),
    { numRuns: 500 },
  )
})

test('what a mask holds back is neither lost nor counted twice, and comes with the tail', () => {
  fc.assert(
    fc.property(fc.nat({ max: 120 }), pieces, fc.nat({ max: 9 }), (limitBytes, given, lag) => {
      let held = Buffer.alloc(0)
      const lagging = {
        pass: (bytes: Buffer) => {
          const all = Buffer.concat([held, bytes])
          held = all.subarray(Math.max(0, all.length - lag))
          return all.subarray(0, all.length - held.length)
        },
        rest: () => held,
      }
      const cap = new OutputCap(limitBytes, lagging)
      const head = Buffer.concat(given.map((piece) => Buffer.from(cap.push(piece))))
      const all = Buffer.concat(given)
      expect(cap.bytes).toBe(all.length)
      const { tail, bytes, omittedBytes, sha256: digest } = cap.end()
      expect(bytes).toBe(all.length)
      expect(head).toEqual(all.subarray(0, head.length))
      expect(tail).toEqual(all.subarray(head.length + omittedBytes))
      expect(head.length + omittedBytes + tail.length).toBe(all.length)
      expect(digest).toBe(sha256(all))
    }),
  )
})

test('up to the limit nothing is missing', () => {
  fc.assert(
    fc.property(pieces, (given) => {
      const all = Buffer.concat(given)
      const { head, tail, omittedBytes } = feed(all.length, given)
      expect(omittedBytes).toBe(0)
      expect(Buffer.concat([head, tail])).toEqual(all)
    }),
  )
})

test('pieces larger than the whole limit, and a ring that grows more than once, keep the last bytes', () => {
  const all = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 251))
  const cuts = [10, 5_000, 9_000, 20_000, 20_001, 150_000, 299_999, 300_000]
  const given = cuts.map((end, i) => all.subarray(cuts[i - 1] ?? 0, end))
  const { head, tail, omittedBytes } = feed(65_536, given)
  expect(head).toEqual(all.subarray(0, 32_768))
  expect(tail).toEqual(all.subarray(-32_768))
  expect(omittedBytes).toBe(300_000 - 65_536)
})
