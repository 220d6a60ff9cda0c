/**
 * Quoting for a POSIX shell: the one place where a word of ours becomes shell text.
 *
 * Proven by property test against real shells (test/unit/ssh/quote.test.ts). NUL cannot be quoted: no shell and no
 * program takes it, so it is refused where commands are checked (launcher.ts), not here.
 */

/** The word as shell text that any POSIX shell reads back as exactly this word. */
export function quoteWord(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/**
 * Shell text that replaces the shell by this program with exactly these arguments.
 *
 * Through `exec`, so that a word such as "cd" or "echo" is the program of that name and never the shell's own. A
 * program name that begins with "-" is the trap: bash takes it for an option of exec unless "--" comes first, and
 * dash takes that "--" for the program. So for such a name the shell is asked which of the two it is, with a PATH on
 * which no program called "--" can be.
 */
export function execWords(words: readonly string[]): string {
  const quoted = words.map(quoteWord).join(' ')
  const isLikeOption = words[0]?.startsWith('-') === true
  if (!isLikeOption) return `exec ${quoted}`
  return `(PATH=/dev/null; exec -- /bin/sh -c :) 2>/dev/null && exec -- ${quoted}\nexec ${quoted}`
}

/**
 * The interpreter a script names in its `#!` line and the one argument it may have, or undefined without such a line.
 * Split as Linux does: everything after the interpreter is a single argument, blanks at both ends taken away.
 * @see execve(2), "Interpreter scripts"
 */
export function interpreterOf(script: string): string[] | undefined {
  const [firstLine = ''] = script.split('\n', 1)
  const match = /^#![ \t]*([^ \t]+)[ \t]*(.*?)[ \t]*$/.exec(firstLine)
  const interpreter = match?.[1]
  if (interpreter === undefined) return undefined
  const argument = match?.[2] ?? ''
  return argument === '' ? [interpreter] : [interpreter, argument]
}
