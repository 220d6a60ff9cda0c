/**
 * The known names closest to an unknown one, for "did you mean". It counts edits and does not know what names mean.
 */

/** More names than this do not help a reader. */
const NEAREST_LIMIT = 3

/** A longer name is no typing mistake, and comparing it with 10,000 others would block the process. */
const LENGTH_LIMIT = 64

/**
 * Up to three of the known names, the closest first, equally close ones in their given order. A name is close when at
 * most four in ten of its characters have to change, or one of two or three. Empty when none is close.
 */
export function nearest(name: string, known: Iterable<string>): string[] {
  if (name.length > LENGTH_LIMIT) return []
  // One letter is never close to another.
  const limit = Math.min(name.length - 1, Math.max(1, Math.floor(name.length * 0.4)))
  const close: { candidate: string; edits: number }[] = []
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) > limit) continue
    const edits = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (edits <= limit) close.push({ candidate, edits })
  }
  close.sort((a, b) => a.edits - b.edits)
  return close.slice(0, NEAREST_LIMIT).map(({ candidate }) => candidate)
}

/** The close names as the end of a sentence; "" when there are none. */
export function nearestHint(close: readonly string[]): string {
  const [only] = close
  if (only === undefined) return ''
  return close.length === 1 ? `; did you mean "${only}"?` : `; the nearest are ${close.join(', ')}`
}

/**
 * How many insertions, deletions, replacements and swaps of neighbours turn one text into the other. This is optimal
 * string alignment: a swap, the most common typing mistake, counts once.
 */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1]
      let edits = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (same ? 0 : 1))
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) edits = Math.min(edits, at(beforeLast, j - 2) + 1)
      row.push(edits)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
