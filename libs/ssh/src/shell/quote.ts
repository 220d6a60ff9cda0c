/**
 * Quoting for shells: the one file where a word of ours becomes shell text.
 *
 * Proven by a property test against real shells (test/unit/ssh/quote.test.ts). NUL cannot be quoted: no shell and no
 * program accepts it, so remote-command.ts refuses it.
 */

/** The word as shell text that any POSIX shell reads back as exactly this word. */
export function quoteWord(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/** The same on one line, for bash, zsh, ksh93 and mksh, which know `$'\n'`. */
export function quoteOnOneLine(word: string): string {
  return quoteWord(word).replaceAll('\n', () => `'$'\\n''`)
}

/** The word as text that fish reads back as exactly this word: there a backslash counts in single quotes too. */
export function quoteForFish(word: string): string {
  return `'${word.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

/**
 * Shell text that replaces the shell by this program with exactly these arguments.
 *
 * Through `exec`, so that a word such as "cd" or "echo" is the program of that name and never the shell's own. That
 * holds for every POSIX shell but zsh, whose exec runs builtins: zsh does not get this text (launcher.ts). The trap is
 * a program name that begins with "-": bash reads it as an option of exec unless "--" comes first, and dash reads that
 * "--" as the program. So for such a name the shell is asked which of the two it is, with a PATH on which no program
 * can be called "--".
 */
export function execWords(words: readonly string[]): string {
  const quoted = words.map(quoteWord).join(' ')
  const isLikeOption = words[0]?.startsWith('-') === true
  if (!isLikeOption) return `exec ${quoted}`
  return `(PATH=/dev/null; exec -- /bin/sh -c :) 2>/dev/null && exec -- ${quoted}\nexec ${quoted}`
}

/** Words of a command that a shell reads as plain words: see `isSingleProgram`. */
const PLAIN = String.raw`[\w@%+:,./-]+`
const ARGUMENT = String.raw`(?:[\w@%+:,./=~*?[\]{}^-]|\$\w|'[^'\n]*'|"(?:[^"$\x60\\!\n]|\$\w)*")+`
const SINGLE = new RegExp(`^${PLAIN}(?:[ \\t]+${ARGUMENT})*[ \\t]*$`)

/**
 * Whether this command text is one program with its arguments and nothing else: no list, pipe, redirection,
 * assignment or substitution. A shell replaces itself by such a program, and so its signal is the command's.
 */
export function isSingleProgram(command: string): boolean {
  return SINGLE.test(command) && !command.startsWith('-')
}

/** The first word of a command for which `isSingleProgram` is true. */
export function programOf(command: string): string {
  return /^\S+/.exec(command)?.[0] ?? ''
}

/** Longer than any `#!` line that Linux reads. */
const FIRST_LINE_BYTES = 4_096

/**
 * The interpreter in a script's `#!` line and the one argument it may have, or undefined without such a line. Split as
 * Linux does: everything after the interpreter is one argument, without blanks at either end.
 * @see execve(2), "Interpreter scripts"
 */
export function interpreterOf(script: string | Buffer): string[] | undefined {
  const beginning = typeof script === 'string' ? script : script.toString('utf8', 0, FIRST_LINE_BYTES)
  const [firstLine = ''] = beginning.split('\n', 1)
  const match = /^#![ \t]*([^ \t]+)[ \t]*(.*?)[ \t]*$/.exec(firstLine)
  const interpreter = match?.[1]
  if (interpreter === undefined) return undefined
  const argument = match?.[2] ?? ''
  return argument === '' ? [interpreter] : [interpreter, argument]
}

/**
 * The words that run a script which is open as this descriptor. Node looks for the real path of a script, and a file
 * without a name has none: so it is told not to. Perl reads on in a descriptor of this name, so a script that starts
 * itself again would find nothing left: under another spelling Perl opens the file again.
 */
export function scriptWords(script: string | Buffer, descriptor: number, args: readonly string[] = []): string[] {
  const interpreter = interpreterOf(script) ?? ['sh']
  const isFor = (program: RegExp) => program.test(interpreter.join(' '))
  const option = isFor(/(?:^|[/ ])node(?:js)?(?: |$)/) ? ['--preserve-symlinks-main'] : []
  const directory = isFor(/(?:^|[/ ])perl[\d.]*(?: |$)/) ? '/dev/./fd' : '/dev/fd'
  return [...interpreter, ...option, `${directory}/${descriptor}`, ...args]
}
