/** Quotes words for lines that a person copies into a shell. */

/** The word in a form that a POSIX shell reads back as exactly this word. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
