/**
 * Estimates how many tokens a text costs a language model, rather too many than too few: an exact count needs a
 * vocabulary of megabytes. Random letters, symbols and rare scripts, which cost most, are counted as expensive.
 */

/** A longer word is in no vocabulary, so it is split into short parts. */
const WORD_CHARS = 12
/** Words or parts of them, groups of three digits, runs of blanks, and any other character on its own. */
const PIECES = new RegExp(`[A-Z]?[a-z]{1,${WORD_CHARS}}|[A-Z]{1,${WORD_CHARS}}|[0-9]{1,3}| {1,40}|[^A-Za-z0-9 ]`, 'gu')

/** The longest beginning of a text that costs at most `limit` tokens, and what it costs. */
export function takeTokens(text: string, limit: number): { text: string; tokens: number } {
  let tokens = 0
  for (const match of text.matchAll(PIECES)) {
    const cost = costOf(match[0])
    if (tokens + cost > limit) return { text: text.slice(0, match.index), tokens }
    tokens += cost
  }
  return { text, tokens }
}

/** The longest end of a text that costs at most `limit` tokens. */
export function takeTokensFromEnd(text: string, limit: number): string {
  const pieces = [...text.matchAll(PIECES)]
  let tokens = 0
  for (let i = pieces.length - 1; i >= 0; i -= 1) {
    const piece = pieces[i]
    if (piece === undefined) break
    tokens += costOf(piece[0])
    if (tokens > limit) return text.slice(piece.index + piece[0].length)
  }
  return text
}

function costOf(piece: string): number {
  const code = piece.codePointAt(0) ?? 0
  if (code > 0x7f) return code > 0xff_ff ? 4 : code > 0x7_ff ? 3 : 1.5
  // A single blank joins the word after it. JSON writes a tab as two characters.
  if (piece === ' ') return 0.1
  if (piece === '\t') return 2
  if (code === 0x20) return Math.max(0.5, piece.length / 8)
  if (piece.length === 1 || code < 0x40) return 1
  const isOdd = piece.length >= WORD_CHARS || piece === piece.toUpperCase()
  return isOdd ? piece.length / 2 : Math.max(1, piece.length / 5)
}
