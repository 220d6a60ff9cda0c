/**
 * The short way to write many names: `web[01-40,42]`, `dc[1-2]n[01-04]`. What it writes stands for exactly the names
 * it was given, as a target expression does.
 *
 * Does not look for the shortest text of all, and writes no steps. `host-range.ts` is the way back.
 */
import { DIGITS_LIMIT } from './host-range.ts'

/** Numbers of a name that are folded, from the last one. */
const DIMENSIONS_LIMIT = 4

/** With more than so many names left over, those are written as they are, so that folding never holds up a process. */
const LEFT_OVER_LIMIT = 20_000

/** The beginning of names that is still to be folded, and the rest, which is written already. */
type Part = { readonly head: string; readonly tail: string }

/** Names that differ in one number only; with no codes, the one name that has no number left. */
type Series = { readonly before: string; readonly after: string; readonly codes: number[] }

/** Above any number. A number is kept with its width (0 without leading zeros) in one code, so that one sort does all. */
const WIDTH_FACTOR = 10 ** DIGITS_LIMIT

/**
 * The names, folded; "" for none. The order is that of the first name of each fold, with the numbers going up. Leading
 * zeros are kept. Of names that stand there twice, one is written.
 */
export function foldHosts(names: readonly string[]): string {
  let parts: readonly Part[] = names.map((head) => ({ head, tail: '' }))
  for (let dimension = 0; dimension < DIMENSIONS_LIMIT; dimension += 1) {
    if (dimension > 0 && parts.length > LEFT_OVER_LIMIT) break
    parts = foldLastNumbers(parts)
  }
  return parts.map(({ head, tail }) => head + tail).join(',')
}

/** Joins the parts that differ in the last number of their heads only. */
function foldLastNumbers(parts: readonly Part[]): Part[] {
  const found = new Map<string, Series>()
  let series: Series | undefined
  for (const { head, tail } of parts) {
    const { start, end } = lastDigits(head)
    const before = head.slice(0, start)
    const after = head.slice(end) + tail
    // No name has a NUL in it, so that a name without a number is no series.
    if (start === end) {
      found.set(head + tail, { before, after, codes: [] })
      continue
    }
    // Most often a name is of the same series as the one before it.
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

/** Where the last digits of the text are; behind its end when there are none. */
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

/** `[1-3,7,01-03]`: each number once, first those without leading zeros, then by width. A single one has no brackets. */
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

/** "10" belongs to the numbers as wide as "01" if there are any; otherwise to those without leading zeros, as "9" does. */
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
