/**
 * Names with ranges: `web[01-12]`, `rack[1-2]n[1-4,9]`. Expands them, and folds a list of names back.
 *
 * Knows nothing of groups or of which hosts exist; `target-expression.ts` and libs/inventory do.
 */
import { MusterError } from './errors.ts'

/** Most names that one pattern may stand for, so that `n[1-999999999]` costs nothing. */
export const EXPANSION_LIMIT = 10_000

/** Letters, digits, ".", "_" and "-"; starts with a letter or digit, so that no name reads as an option. */
const HOST_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/

/** Whether the text can be the name of a host. */
export function isHostName(name: string): boolean {
  return HOST_NAME.test(name)
}

/**
 * The texts that a pattern stands for, in order; a pattern without brackets stands for itself.
 * `position` is where the pattern begins in the text the user wrote, for the error.
 * @throws {MusterError} invalid_target for a malformed, descending or over-long range
 */
export function expandRanges(pattern: string, position = 0): string[] {
  const open = pattern.indexOf('[')
  const stray = pattern.indexOf(']')
  if (open < 0) {
    if (stray >= 0) throw malformed('"]" without "["', pattern, position + stray)
    return [pattern]
  }
  const close = pattern.indexOf(']', open)
  if (stray < open || close < 0) throw malformed('"[" and "]" do not match', pattern, position + open)
  const prefix = pattern.slice(0, open)
  const numbers = rangeNumbers(pattern.slice(open + 1, close), pattern, position + open + 1)
  const tails = expandRanges(pattern.slice(close + 1), position + close + 1)
  if (numbers.length * tails.length > EXPANSION_LIMIT) {
    throw malformed(`stands for more than ${EXPANSION_LIMIT} names`, pattern, position)
  }
  return numbers.flatMap((number) => tails.map((tail) => prefix + number + tail))
}

function rangeNumbers(list: string, pattern: string, position: number): string[] {
  const numbers: string[] = []
  let offset = 0
  for (const part of list.split(',')) {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part)
    if (!match) throw malformed(`expected a number or a range such as 01-12, not "${part}"`, pattern, position + offset)
    const [, first = '', last = first] = match
    const from = Number(first)
    const to = Number(last)
    if (to < from) throw malformed(`the range ${part} runs backwards`, pattern, position + offset)
    if (numbers.length + to - from + 1 > EXPANSION_LIMIT) {
      throw malformed(`stands for more than ${EXPANSION_LIMIT} names`, pattern, position + offset)
    }
    for (let n = from; n <= to; n += 1) numbers.push(String(n).padStart(first.length, '0'))
    offset += part.length + 1
  }
  return numbers
}

function malformed(problem: string, pattern: string, position: number): MusterError {
  return new MusterError('invalid_target', `${problem}, in "${pattern}" at position ${position}`, {
    details: { position },
  })
}

/**
 * The shortest way to write a list of names: `web[01-03,07],db1`. Names that differ only in their last number
 * and have the same width are folded; the order is that of the first name of each fold.
 */
export function foldHosts(names: readonly string[]): string {
  const folds = new Map<string, { prefix: string; suffix: string; width: number; numbers: Set<number> }>()
  for (const name of names) {
    const match = /^(.*?)(\d{1,9})(\D*)$/.exec(name)
    const [, prefix = name, digits = '', suffix = ''] = match ?? []
    // Without a leading zero "9" and "10" are one series; with one, the width is part of it.
    const width = digits.startsWith('0') ? digits.length : 0
    const padded = paddedWidth(folds, prefix, suffix, digits) ?? width
    const key = JSON.stringify([prefix, suffix, padded, digits === ''])
    const fold = folds.get(key) ?? { prefix, suffix, width: padded, numbers: new Set() }
    if (digits !== '') fold.numbers.add(Number(digits))
    folds.set(key, fold)
  }
  return [...folds.values()].map(writeFold).join(',')
}

/** `web10` belongs to the series of `web01`: same width, though it has no leading zero itself. */
function paddedWidth(
  folds: ReadonlyMap<string, unknown>,
  prefix: string,
  suffix: string,
  digits: string,
): number | undefined {
  const key = JSON.stringify([prefix, suffix, digits.length, digits === ''])
  return digits !== '' && folds.has(key) ? digits.length : undefined
}

function writeFold(fold: { prefix: string; suffix: string; width: number; numbers: Set<number> }): string {
  const numbers = [...fold.numbers].sort((a, b) => a - b)
  const write = (n: number) => String(n).padStart(fold.width, '0')
  if (numbers.length === 0) return fold.prefix
  const [only] = numbers
  if (numbers.length === 1 && only !== undefined) return fold.prefix + write(only) + fold.suffix
  const parts: string[] = []
  let from = numbers[0] ?? 0
  let to = from
  for (const n of [...numbers.slice(1), Number.NaN]) {
    if (n === to + 1) {
      to = n
      continue
    }
    parts.push(from === to ? write(from) : `${write(from)}-${write(to)}`)
    from = n
    to = n
  }
  return `${fold.prefix}[${parts.join(',')}]${fold.suffix}`
}
