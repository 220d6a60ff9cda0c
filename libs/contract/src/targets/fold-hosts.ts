/**
 * Folds many names into a short text: `web[01-40,42]`, `dc[1-2]n[01-04]`. Read as a target expression, the text
 * stands for exactly the names that were folded.
 *
 * It does not look for the shortest text of all, and writes no steps. `host-range.ts` is the way back.
 */
import { DIGITS_LIMIT } from './host-range.ts'

/** How many numbers of a name are folded, counted from the last. */
const DIMENSIONS_LIMIT = 4

/**
 * When more names than this are left over, they are written as they are, so that folding never holds up the process.
 */
const LEFT_OVER_LIMIT = 20_000

/** Names in progress: the head is still to be folded, the tail is already written. */
type Part = { readonly head: string; readonly tail: string }

/** Names that differ in one number only. Without codes: a single name with no number left. */
type Series = { readonly before: string; readonly after: string; readonly codes: number[] }

/** Above any number. A code holds a number and its width (0 without leading zeros), so that one sort orders both. */
const WIDTH_FACTOR = 10 ** DIGITS_LIMIT

/**
 * Folds names; "" for none. Folds are in the order of their first names, and numbers within a fold go up. Leading
 * zeros are kept. A name given twice is written once.
 */
export function foldHosts(names: readonly string[]): string {
  let parts: readonly Part[] = names.map((head) => ({ head, tail: '' }))
  for (let dimension = 0; dimension < DIMENSIONS_LIMIT; dimension += 1) {
    if (dimension > 0 && parts.length > LEFT_OVER_LIMIT) break
    parts = foldLastNumbers(parts)
  }
  return parts.map(({ head, tail }) => head + tail).join(',')
}

/** Joins parts that differ only in the last number of their heads. */
function foldLastNumbers(parts: readonly Part[]): Part[] {
  const found = new Map<string, Series>()
  let series: Series | undefined
  for (const { head, tail } of parts) {
    const { start, end } = lastDigits(head)
    const before = head.slice(0, start)
    const after = head.slice(end) + tail
    // The key of a series has a NUL in it, which no name has: a name without a number cannot be mistaken for one.
    if (start === end || head.includes('@')) {
      // The host of a request is written as it is: no range stands for an address.
      found.set(head + tail, { before: head, after: tail, codes: [] })
      continue
    }
    // Most names belong to the series of the name before.
    if (series?.before !== before || series.after !== after) {
      const key = `${before}\0${after}`
      series = found.get(key)
      if (series === undefined) {
        series = { before, after, codes: [] }
        found.set(key, series)
      }
    }
    series.codes.push(codeOf(head, start, end))
  }
  return Array.from(found.values(), ({ before, after, codes }) => ({ head: before, tail: writeCodes(codes) + after }))
}

/** Where the last digits of the text are; at its end when there are none. */
function lastDigits(text: string): { start: number; end: number } {
  let end = text.length
  while (end > 0 && !isDigit(text.charCodeAt(end - 1))) end -= 1
  if (end === 0) return { start: text.length, end: text.length }
  let start = end - 1
  while (start > 0 && end - start < DIGITS_LIMIT && isDigit(text.charCodeAt(start - 1))) start -= 1
  return { start, end }
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function codeOf(text: string, start: number, end: number): number {
  let number = 0
  for (let i = start; i < end; i += 1) number = number * 10 + text.charCodeAt(i) - 48
  const isPadded = end - start > 1 && text.charCodeAt(start) === 48
  return isPadded ? (end - start) * WIDTH_FACTOR + number : number
}

/**
 * `[1-3,7,01-03]`: each number once, those without leading zeros first, then by width. A single number has no
 * brackets.
 */
function writeCodes(codes: readonly number[]): string {
  const runs: { from: number; to: number }[] = []
  for (const code of codes.length > 1 ? Float64Array.from(inSeries(codes)).sort() : codes) {
    const run = runs.at(-1)
    if (run !== undefined && code <= run.to + 1) run.to = code
    else runs.push({ from: code, to: code })
  }
  const texts = runs.map(({ from, to }) => (from === to ? write(from) : `${write(from)}-${write(to)}`))
  const [first] = runs
  return runs.length > 1 || first?.from !== first?.to ? `[${texts.join(',')}]` : texts.join('')
}

/** Counts "10" among the padded numbers if some are as wide ("01"), and otherwise among those without leading zeros. */
function inSeries(codes: readonly number[]): readonly number[] {
  const widths = new Set<number>()
  for (const code of codes) if (code >= WIDTH_FACTOR) widths.add(Math.floor(code / WIDTH_FACTOR))
  if (widths.size === 0) return codes
  return codes.map((code) => {
    const width = code < WIDTH_FACTOR ? String(code).length : 0
    return widths.has(width) ? width * WIDTH_FACTOR + code : code
  })
}

function write(code: number): string {
  return String(code % WIDTH_FACTOR).padStart(Math.floor(code / WIDTH_FACTOR), '0')
}
