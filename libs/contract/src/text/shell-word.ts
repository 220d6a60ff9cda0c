/**
 * Words of a command line as people read them and copy them into a shell. What runs on a host is quoted by libs/ssh,
 * which never leaves a word bare.
 */

/** The word as a POSIX shell reads it back: bare if no shell gives it a meaning, otherwise in single quotes. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
