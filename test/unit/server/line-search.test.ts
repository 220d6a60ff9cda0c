/** Searching lines: what a plain search finds, in time that no pattern and no output can stretch. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compilePattern, searchLines } from '../../../apps/server/src/operations/output/line-search.ts'

const LIMITS = { deadlineMs: Number.POSITIVE_INFINITY, signal: new AbortController().signal, keptChars: 100_000 }

async function* inPieces(all: Buffer, size: number) {
  for (let offset = 0; offset < all.length; offset += size) {
    yield { offset, bytes: all.subarray(offset, offset + size), omittedBefore: 0 }
  }
}

const search = (text: string, pattern: string, options: Partial<typeof LIMITS> & { last?: number } = {}, size = 7) =>
  searchLines(inPieces(Buffer.from(text), size), compilePattern(pattern), { ...LIMITS, ...options })

test('lines that match are found with their number and offset, and two lines on either side', async () => {
  const text = Array.from({ length: 20 }, (_, i) => `line ${i + 1}\n`).join('')
  const found = await search(text, '^line (3|12)$')
  expect(found).toMatchObject({ matched: 2, lines: 20, bytes: text.length, notKept: 0, nextMatch: undefined })
  expect(found.rows.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 10, 11, 12, 13, 14])
  const matches = found.rows.filter(({ isMatch }) => isMatch)
  expect(matches.map(({ offset }) => text.slice(offset, offset + 7).trim())).toEqual(['line 3', 'line 12'])
})

test('whatever the pieces are in which output comes, the same lines are found as in all of it', async () => {
  const texts = fc
    .array(fc.constantFrom('a', 'b', 'é', '☃', '\n', 'err'), { maxLength: 80 })
    .map((parts) => parts.join(''))
  await fc.assert(
    fc.asyncProperty(texts, fc.integer({ min: 1, max: 30 }), async (text, size) => {
      const lines = text.split('\n')
      if (lines.at(-1) === '') lines.pop()
      const expected = lines.flatMap((line, i) => (/a.*b|err/.test(line) ? [[i + 1, line]] : []))
      const found = await search(text, 'a.*b|err', {}, size)
      expect(found.rows.filter(({ isMatch }) => isMatch).map((row) => [row.number, row.text])).toEqual(expected)
      expect([found.matched, found.lines, found.bytes]).toEqual([
        expected.length,
        lines.length,
        Buffer.byteLength(text),
      ])
    }),
  )
})

test('the first matches are kept as far as there is room, and where the next one is; or the last ones', async () => {
  const text = Array.from({ length: 100 }, (_, i) => `match ${String(i).padStart(3, '0')}\n`).join('')
  const first = await search(text, 'match', { keptChars: 50 })
  expect([first.matched, first.kept, first.nextMatch]).toEqual([100, 5, 50])
  const last = await search(text, 'match', { last: 3 })
  expect([last.matched, last.kept, last.rows.at(-1)?.text]).toEqual([100, 3, 'match 099'])
  expect(last.rows.filter(({ isMatch }) => isMatch)).toHaveLength(3)
})

test('what was not kept is counted, joins no lines, and behind it lines have no number', async () => {
  async function* pieces() {
    yield { offset: 0, bytes: Buffer.from('one er'), omittedBefore: 0 }
    yield { offset: 1_000, bytes: Buffer.from('ror\nan error\n'), omittedBefore: 994 }
  }
  const found = await searchLines(pieces(), compilePattern('error'), LIMITS)
  expect(found).toMatchObject({ matched: 1, notKept: 994 })
  expect(found.rows.filter(({ isMatch }) => isMatch)).toMatchObject([{ number: undefined, offset: 1_004 }])
})

test('patterns that are not linear, too large or no pattern are refused by name of the field', () => {
  for (const pattern of ['(?=a)', '\\1', '(', '*', '(a{100}){100}', '\\pL{400}x{1,700}']) {
    expect(() => compilePattern(pattern), pattern).toThrow(expect.objectContaining({ details: { field: 'grep' } }))
  }
})

test('sixteen MiB are searched by a cunning pattern without holding up the process', async () => {
  const all = Buffer.alloc(16 * 1024 * 1024, 'abcdefghij'.repeat(30).concat('\n'))
  let turns = 0
  let isOver = false
  const count = () => {
    turns += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const found = await searchLines(inPieces(all, 256 * 1024), compilePattern('(a|j)+b.*(x+x+)+y$|ij$'), LIMITS)
  isOver = true
  expect(found.bytes).toBe(all.length)
  expect(turns).toBeGreaterThan(20)
}, 60_000)

test('an endless line is searched in parts no longer than the pattern allows, and the answer says so', async () => {
  const all = Buffer.from(`${'x'.repeat(300_000)}needle${'y'.repeat(100_000)}`)
  const found = await searchLines(inPieces(all, 64 * 1024), compilePattern('needle'), LIMITS)
  expect(found).toMatchObject({ matched: 1, lines: 1, partedLines: 1 })
  const [row] = found.rows.filter(({ isMatch }) => isMatch)
  expect(row?.text).toContain('xneedley')
  expect(row?.text.length).toBeLessThan(450)
})

test('a search that has no time left, or whose caller has gone, says where it stopped', async () => {
  const all = Buffer.alloc(8 * 1024 * 1024, 'some text\n')
  const pattern = compilePattern('(?i)t[aeiou]xt$')
  const late = await searchLines(inPieces(all, 64 * 1024), pattern, { ...LIMITS, deadlineMs: performance.now() })
  expect(late.stoppedAt).toBeGreaterThan(0)
  expect(late.stoppedAt).toBeLessThan(all.length)
  const gone = await searchLines(inPieces(all, 64 * 1024), pattern, { ...LIMITS, signal: AbortSignal.abort() })
  expect(gone.stoppedAt).toBeLessThan(all.length)
})
