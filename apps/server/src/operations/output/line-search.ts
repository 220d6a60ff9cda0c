/**
 * Searches output for lines that match a regular expression. RE2 keeps the time linear in the output, whatever the
 * pattern. Outputs have up to 16 MiB, so the search yields to the event loop.
 *
 * It reads nothing itself: the caller passes in the bytes piece by piece.
 */
import { setImmediate as letOthersRun } from 'node:timers/promises'
import { MusterError } from '@muster/contract'
import { RE2JS, RE2JSException } from 're2js'

/** Largest program of a pattern; a larger one would make each character too expensive. */
const PROGRAM_LIMIT = 1_000
/** Most steps of a program in one go: about 50 ms, in which the process serves nothing else. */
const STEPS_LIMIT = 2_000_000
/** Longer lines are searched in parts of this length, or of less if the pattern is large. */
const PART_LIMIT_BYTES = 64 * 1024
/** How long the search runs before it yields to the event loop. */
const SLICE_MS = 8
/** Lines shown before and after a match, if there is room. */
const CONTEXT_LINES = 2
/** Longest part of a line that is shown, and how much of it comes before the match. */
const EXCERPT_CHARS = 400
const EXCERPT_BEFORE_CHARS = 100

/** A pattern to search with. */
export type LinePattern = { readonly text: string; readonly expression: RE2JS; readonly partBytes: number }

/** A line that is shown. */
export type FoundLine = {
  /** From 1. Undefined after a gap, or if the search did not begin at the first byte. */
  readonly number: number | undefined
  readonly offset: number
  /** Where the next line begins. */
  readonly end: number
  readonly text: string
  /** True for a match, false for a context line. */
  readonly isMatch: boolean
}

/** The result of searching one stream. */
export type LineSearch = {
  readonly rows: readonly FoundLine[]
  readonly matched: number
  /** How many of the matches are in `rows`. */
  readonly kept: number
  readonly lines: number
  readonly bytes: number
  /** Bytes that could not be searched because they were not kept. */
  readonly notKept: number
  /** Lines that were searched in parts. */
  readonly partedLines: number
  /** The offset of the first match that is not in `rows`, when searching forwards. Undefined if all are. */
  readonly nextMatch: number | undefined
  /** The offset at which the search ran out of time. Undefined if it came to the end. */
  readonly stoppedAt: number | undefined
}

/** Bytes of a stream, and how many directly before them were not kept. */
export type SearchedBytes = { readonly offset: number; readonly bytes: Buffer; readonly omittedBefore: number }

/** The limits of a search. */
export type SearchLimits = {
  /** When to give up, by performance.now(). */
  readonly deadlineMs: number
  readonly signal: AbortSignal
  /** Most characters of matching lines kept. */
  readonly keptChars: number
  /** How many of the last matches to keep. Absent: the first matches are kept. */
  readonly last?: number | undefined
}

/**
 * Compiles a pattern.
 * @throws {MusterError} invalid_request if it is not RE2, or so large that searching would take too long
 */
export function compilePattern(text: string): LinePattern {
  const refuse = (why: string, cause?: unknown) =>
    new MusterError('invalid_request', `grep: ${why}; received ${JSON.stringify(text)}`, {
      details: { field: 'grep' },
      cause,
    })
  let expression: RE2JS
  try {
    expression = RE2JS.compile(text)
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    throw refuse(`not a regular expression of RE2 (${error.message})`, error)
  }
  const size = Math.max(1, expression.programSize())
  if (size > PROGRAM_LIMIT) throw refuse('the pattern repeats too much')
  return { text, expression, partBytes: Math.min(PART_LIMIT_BYTES, Math.floor(STEPS_LIMIT / size)) }
}

/** Searches a stream. `fromStart` says that the first piece begins at byte 0, so that lines can be numbered. */
export async function searchLines(
  pieces: AsyncIterable<SearchedBytes>,
  pattern: LinePattern,
  limits: SearchLimits,
  fromStart = true,
): Promise<LineSearch> {
  const rows = collectRows(limits)
  const found = { lines: 0, bytes: 0, notKept: 0, partedLines: 0, matched: 0 }
  let number: number | undefined = fromStart ? 1 : undefined
  let parts = 0
  let sliceEnd = performance.now() + SLICE_MS
  let stoppedAt: number | undefined
  for await (const { bytes, offset, end, isWhole, isBehindGap } of linesOf(counted(pieces, found), pattern.partBytes)) {
    if (isBehindGap) number = undefined
    if (performance.now() > sliceEnd) {
      await letOthersRun()
      sliceEnd = performance.now() + SLICE_MS
      if (limits.signal.aborted || performance.now() > limits.deadlineMs) {
        stoppedAt = offset
        break
      }
    }
    const text = bytes.toString('utf8')
    const isMatch = pattern.expression.test(text)
    if (isMatch) found.matched += 1
    rows.add({ number, offset, end, text, isMatch }, pattern)
    found.bytes += end - offset
    parts += 1
    if (!isWhole) continue
    found.lines += 1
    if (parts > 1) found.partedLines += 1
    parts = 0
    if (number !== undefined) number += 1
  }
  return { ...found, ...rows.kept(), stoppedAt }
}

/** The same pieces. Counts what was not kept, even if no line follows it. */
async function* counted(
  pieces: AsyncIterable<SearchedBytes>,
  found: { notKept: number },
): AsyncGenerator<SearchedBytes> {
  for await (const piece of pieces) {
    found.notKept += piece.omittedBefore
    yield piece
  }
}

/** A line, or a part of one that is too long. `isWhole`: the line ends here. `end` is the offset after its newline. */
type Line = { bytes: Buffer; offset: number; end: number; isWhole: boolean; isBehindGap: boolean }

async function* linesOf(pieces: AsyncIterable<SearchedBytes>, partBytes: number): AsyncGenerator<Line> {
  let rest: Buffer = Buffer.alloc(0)
  let at = 0
  let isBehindGap = false
  const take = (length: number, isWhole: boolean, newline = 0): Line => {
    const line = { bytes: rest.subarray(0, length), offset: at, end: at + length + newline, isWhole, isBehindGap }
    rest = rest.subarray(length + newline)
    at = line.end
    isBehindGap = false
    return line
  }
  for await (const piece of pieces) {
    if (piece.omittedBefore > 0) {
      // Bytes before and after a gap do not form a line.
      if (rest.length > 0) yield take(rest.length, true)
      rest = Buffer.alloc(0)
      isBehindGap = true
    }
    if (rest.length === 0) at = piece.offset
    rest = rest.length === 0 ? piece.bytes : Buffer.concat([rest, piece.bytes])
    for (let end = rest.indexOf(0x0a); end !== -1 || rest.length >= partBytes; end = rest.indexOf(0x0a)) {
      const isShort = end !== -1 && end <= partBytes
      yield isShort ? take(end, true, 1) : take(characterStart(rest, partBytes), false)
    }
  }
  if (rest.length > 0) yield take(rest.length, true)
}

/** A position to cut at: at most `most`, and not inside a UTF-8 character. */
function characterStart(bytes: Buffer, most: number): number {
  let at = Math.min(most, bytes.length)
  while (at > most - 4 && at > 1 && ((bytes[at] ?? 0) & 0b1100_0000) === 0b1000_0000) at -= 1
  return at
}

/** Collects matching lines, as many as there is room for, each with its context. */
function collectRows({ keptChars, last }: SearchLimits) {
  const rows: FoundLine[] = []
  const before: FoundLine[] = []
  let after = 0
  let kept = 0
  let chars = 0
  let nextMatch: number | undefined
  const forget = () => {
    const gone = rows.shift()
    if (gone?.isMatch !== true) return
    kept -= 1
    chars -= gone.text.length
  }
  return {
    add: (line: FoundLine, pattern: LinePattern) => {
      if (line.isMatch && nextMatch === undefined) {
        const row = { ...line, text: excerpt(line.text, pattern) }
        if (last === undefined && chars + row.text.length > keptChars && kept > 0) {
          nextMatch = line.offset
          after = 0
          return
        }
        rows.push(...before.splice(0), row)
        kept += 1
        chars += row.text.length
        after = CONTEXT_LINES
        while (last !== undefined && kept > 1 && (kept > last || chars > keptChars)) forget()
      } else if (after > 0) {
        rows.push({ ...line, text: line.text.slice(0, EXCERPT_CHARS) })
        after -= 1
      } else if (nextMatch === undefined) {
        before.push({ ...line, text: line.text.slice(0, EXCERPT_CHARS) })
        if (before.length > CONTEXT_LINES) before.shift()
      }
    },
    kept: () => ({ rows, kept, nextMatch }),
  }
}

/** The part of a long line around its match. */
function excerpt(text: string, { expression }: LinePattern): string {
  if (text.length <= EXCERPT_CHARS) return text
  const matcher = expression.matcher(text)
  const start = matcher.find() ? Math.max(0, matcher.start() - EXCERPT_BEFORE_CHARS) : 0
  const end = start + EXCERPT_CHARS
  return `${start > 0 ? '…' : ''}${text.slice(start, end)}${end < text.length ? '…' : ''}`
}
