/**
 * Reads and expands names with ranges: `web[01-12]`, `rack[1-2]n[1-9/2,20]`. `fold-hosts.ts` is the way back.
 *
 * Groups are read by `target-expression.ts`; libs/inventory has the hosts.
 */
import { MusterError } from '../errors/errors.ts'
import { shortened } from '../text/cut-text.ts'

/** Most names that a pattern or a whole target expression may stand for, so that `n[1-999999999]` costs nothing. */
export const EXPANSION_LIMIT = 10_000

/** Most digits of a number in a range, so that every number is exact without a bigint. */
export const DIGITS_LIMIT = 9

/** Letters, digits, ".", "_" and "-"; starts with a letter or digit, so that no name reads as an option. */
const HOST_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/

/** A range as written in brackets. Its numbers have at least `width` digits. */
type NumberRange = { readonly from: number; readonly to: number; readonly step: number; readonly width: number }

/** A piece of a pattern: literal text, or two or more numbers. */
export type Chunk = string | readonly NumberRange[]

/** Whether the text can be the name of a host. */
export function isHostName(name: string): boolean {
  return HOST_NAME.test(name)
}

/**
 * The texts that a pattern stands for, in order; a pattern without brackets stands for itself. Outside of brackets any
 * character is allowed.
 * @throws {MusterError} invalid_target, with `details.position`, for a malformed, descending or over-long range
 */
export function expandRanges(pattern: string): string[] {
  const chunks: Chunk[] = []
  let at = 0
  while (at < pattern.length) {
    const next = pattern.slice(at).search(/[[\]]/)
    const end = next < 0 ? pattern.length : at + next
    if (pattern[end] === ']') throw expected('"[" before this "]"', pattern, end)
    addChunk(chunks, pattern.slice(at, end))
    at = end
    if (at === pattern.length) break
    const numbers = readNumbers(pattern, at)
    addChunk(chunks, numbers.chunk)
    at = numbers.end
  }
  if (countOf(chunks) > EXPANSION_LIMIT) throw tooMany(pattern, 0)
  return expand(chunks)
}

/**
 * Adds a piece to a pattern. Adjacent texts are joined, so that the work of `expand` grows only with the names it
 * makes.
 */
export function addChunk(chunks: Chunk[], chunk: Chunk): void {
  const last = chunks.at(-1)
  if (typeof chunk === 'string' && typeof last === 'string') chunks[chunks.length - 1] = last + chunk
  else chunks.push(chunk)
}

/** How many texts the chunks stand for, without making any. */
export function countOf(chunks: readonly Chunk[]): number {
  let count = 1
  for (const chunk of chunks) count *= typeof chunk === 'string' ? 1 : countNumbers(chunk)
  return count
}

/** The texts that the chunks stand for; the last number changes first. Check `countOf` before. */
export function expand(chunks: readonly Chunk[]): string[] {
  let texts = ['']
  for (const chunk of chunks) {
    const pieces = typeof chunk === 'string' ? [chunk] : writeNumbers(chunk)
    texts = texts.flatMap((text) => pieces.map((piece) => text + piece))
  }
  return texts
}

/**
 * Reads `[01-12/2,20]`, whose "[" is at `at`. `end` is the position after its "]". A single number becomes plain text.
 * @throws {MusterError} invalid_target, with `details.position`
 */
export function readNumbers(text: string, at: number): { chunk: Chunk; end: number } {
  const ranges: NumberRange[] = []
  let end = at
  do {
    const range = readRange(text, end + 1)
    ranges.push(range)
    end = range.end
  } while (text[end] === ',')
  if (text[end] !== ']') throw expected('"-", "," or "]"', text, end)
  const isOne = countNumbers(ranges) === 1
  return { chunk: isOne ? writeNumbers(ranges).join('') : ranges, end: end + 1 }
}

function readRange(text: string, at: number): NumberRange & { end: number } {
  const first = readDigits(text, at)
  const from = Number(first)
  const width = isPadded(first) ? first.length : 0
  let end = at + first.length
  if (text[end] !== '-') return { from, to: from, step: 1, width, end }
  const last = readDigits(text, end + 1)
  end += 1 + last.length
  const to = Number(last)
  if (to < from) throw expected('a range that goes up', text, at)
  // [1-010] and [01-100] are ambiguous.
  if ((width > 0 || isPadded(last)) && first.length !== last.length) {
    throw expected('a range with as many digits at both ends, such as 01-12', text, at)
  }
  if (text[end] !== '/') return { from, to, step: 1, width, end }
  const every = readDigits(text, end + 1)
  if (Number(every) === 0) throw expected('a step of at least 1', text, end + 1)
  return { from, to, step: Number(every), width, end: end + 1 + every.length }
}

function readDigits(text: string, at: number): string {
  const digits = matchAt(/\d+/y, text, at)
  if (digits === '') throw expected('a number', text, at)
  if (digits.length > DIGITS_LIMIT) throw expected(`a number of at most ${DIGITS_LIMIT} digits`, text, at)
  return digits
}

function isPadded(digits: string): boolean {
  return digits.length > 1 && digits.startsWith('0')
}

function countNumbers(ranges: readonly NumberRange[]): number {
  return ranges.reduce((count, { from, to, step }) => count + Math.floor((to - from) / step) + 1, 0)
}

function writeNumbers(ranges: readonly NumberRange[]): string[] {
  const numbers: string[] = []
  for (const { from, to, step, width } of ranges) {
    for (let n = from; n <= to; n += step) numbers.push(String(n).padStart(width, '0'))
  }
  return numbers
}

/** What the sticky expression matches at a position; "" if nothing. */
export function matchAt(sticky: RegExp, text: string, at: number): string {
  sticky.lastIndex = at
  return sticky.exec(text)?.[0] ?? ''
}

/** The refusal of a text that should continue with `what` at a position. */
export function expected(what: string, text: string, position: number): MusterError {
  const rest = text.slice(position)
  const found = rest === '' ? 'the end' : `"${shortened(rest, 20)}"`
  const message = `expected ${what} at position ${position}, not ${found}`
  return new MusterError('invalid_target', message, { details: { position } })
}

/** The refusal of a pattern that stands for too many names. */
export function tooMany(text: string, position: number): MusterError {
  return expected(`no more than ${EXPANSION_LIMIT} names in all`, text, position)
}
