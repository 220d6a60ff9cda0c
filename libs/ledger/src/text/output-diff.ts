/**
 * Compares the outputs of two groups of hosts: a unified diff of each stream, bounded in time and size. When a diff is
 * not complete, a line that begins with a backslash says so; programs that read diffs take such a line for a remark.
 */
import { OutputStream } from '@muster/contract'
import { FILE_HEADERS_ONLY, formatPatch, structuredPatch } from 'diff'

/** Most bytes of a stream that are compared. */
export const COMPARED_BYTES = 64 * 1024
/** Nobody would read a diff with more lines added and removed, and the work grows with their square. */
const EDITS_LIMIT = 400
/** The longest that comparing one stream may take, because the event loop waits for it. */
const TIME_LIMIT_MS = 20
/** Longest diff of one group, in characters. */
const DIFF_LIMIT_CHARS = 16_384

/** The beginning of a stream, and whether it is all of it. */
type ComparedText = { readonly text: string; readonly isAll: boolean }
/** Both streams. */
export type ComparedOutput = { readonly [S in OutputStream]: ComparedText }

/** Returns the diff from `reference` to `other`; "" when they are equal. */
export function diffOutputs(reference: ComparedOutput, other: ComparedOutput): string {
  return withinLimit(
    OutputStream.options.map((stream) => diffStream(stream, reference[stream], other[stream])).join(''),
  )
}

function diffStream(stream: OutputStream, from: ComparedText, to: ComparedText): string {
  const isAll = from.isAll && to.isAll
  const note = isAll ? '' : `\\ Only the beginning of ${stream} was compared, at most ${COMPARED_BYTES / 1024} KiB.\n`
  const [old, now] = [wholeLines(from), wholeLines(to)]
  if (old === now) return note
  const names = [`${stream} of the reference`, `${stream} here`] as const
  const patch = structuredPatch(...names, old, now, undefined, undefined, {
    context: 3,
    maxEditLength: EDITS_LIMIT,
    timeout: TIME_LIMIT_MS,
  })
  if (patch !== undefined) return `${formatPatch(patch, FILE_HEADERS_ONLY)}${note}`
  return `--- ${names[0]}\n+++ ${names[1]}\n\\ Too different to be compared line by line.\n${note}`
}

/** Leaves out a last line that was cut, because it would seem to differ. */
function wholeLines({ text, isAll }: ComparedText): string {
  return isAll ? text : text.slice(0, text.lastIndexOf('\n') + 1)
}

/** Cuts a long diff between two lines, and says so. */
function withinLimit(diff: string): string {
  if (diff.length <= DIFF_LIMIT_CHARS) return diff
  const end = diff.lastIndexOf('\n', DIFF_LIMIT_CHARS) + 1
  const shown = diff.slice(0, end > 0 ? end : DIFF_LIMIT_CHARS)
  return `${shown}${end > 0 ? '' : '\n'}\\ The diff is longer than this.\n`
}
