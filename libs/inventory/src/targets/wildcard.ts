/**
 * Matches names against patterns with wildcards. It uses no regular expression: with several "*", the time of one can
 * grow exponentially.
 */

const STAR = 42
const QUESTION_MARK = 63

/** Whether the whole name matches. `*` stands for any characters or none, `?` for one. */
export function matchesWildcards(pattern: string, name: string): boolean {
  let p = 0
  let n = 0
  /** The last "*", and where the name goes on after what it stands for so far. */
  let star = -1
  let resume = 0
  while (n < name.length) {
    // Past the end this is NaN, which equals nothing.
    const code = pattern.charCodeAt(p)
    if (code === STAR) {
      star = p
      resume = n
      p += 1
    } else if (code === name.charCodeAt(n) || code === QUESTION_MARK) {
      p += 1
      n += 1
    } else if (star >= 0) {
      // The last "*" takes one more character. Earlier ones need not: what follows them has been found already.
      resume += 1
      n = resume
      p = star + 1
    } else {
      return false
    }
  }
  while (pattern.charCodeAt(p) === STAR) p += 1
  return p === pattern.length
}
