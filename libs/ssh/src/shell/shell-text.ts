/**
 * The text of a command for each kind of shell:
 *
 *   variables → watchdog → start mark → directory → the command
 *
 * A shell runs it whole or not at all: as one line, which ends in a mark (hello.ts), or as a group in braces, which
 * `head` reads by its length. Nothing follows the command, so its exit is the shell's. launcher.ts chooses the shell.
 */
import type { Hello } from './hello.ts'
import { execWords, isSingleProgram, programOf, quoteForFish, quoteOnOneLine, quoteWord } from './quote.ts'
import { pathForCd } from './remote-command.ts'
import { type HostDeadline, markBySh, markInline } from './watchdog.ts'

/** What surrounds a command. */
export type LaunchText = {
  readonly nonce: string
  readonly hello: Hello
  /** Absent: the host never ends the command by itself. */
  readonly deadline: HostDeadline | undefined
  readonly cwd: string | undefined
  readonly env: Readonly<Record<string, string>>
  /** The shell that reads the text. */
  readonly shell: Hello['shell']
  readonly isGroup: boolean
  /** Whether bash makes the process group by job control. */
  readonly isJob: boolean
}

/** From this size on `head` reads a text in one go; a shell would read it byte by byte. */
const LONG_BYTES = 4_096

/** A program for sh as a group: a shell reads all of it before it runs any of it, and nothing behind it. */
export function whole(program: string): Buffer {
  return Buffer.from(`{\n${program}\nexit\n}\n`)
}

/** The text for a POSIX shell. */
export function shText(
  text: LaunchText,
  form: { readonly command: string } | { readonly argv: readonly string[] },
): Buffer {
  const { hello, isJob } = text
  const run = 'argv' in form ? argvText(form.argv, hello) : commandText(form.command, text)
  const all = `${prepared(text)}; ${run}`
  if (!isJob) return readWhole(all)
  // When the job is killed bash prints it, command and all: so bash itself has no stderr, only the job has.
  return readWhole(
    `exec {muster_err}>&2 2>/dev/null; set -m; ( exec 2>&$muster_err {muster_err}>&-; unset muster_err; ${all} )`,
  )
}

/** Variables, start mark and directory, for a POSIX shell. */
export function prepared(text: LaunchText, quote = quoteOf(text)): string {
  const { hello, nonce, cwd, env } = text
  const pid = text.isJob ? '$BASHPID' : '$$'
  // ksh93 waits for the watchdog if it starts it itself, and so would a command that waits for its children.
  const isBySh = hello.isRestricted || text.shell === 'ksh'
  const mark = isBySh ? markBySh(nonce, pid, text, quoteWord) : markInline(nonce, pid, text)
  const exported = ([name, value]: readonly [string, string]) => `export ${name}=${quote(value)}`
  return [
    'unset muster',
    ...Object.entries(env).map(exported),
    mark,
    // The mark takes the variable of this name.
    ...Object.entries(env)
      .filter(([name]) => name === 'muster')
      .map(exported),
    ...(cwd === undefined ? [] : [`cd -- ${quote(pathForCd(cwd))} || exit`]),
  ].join('; ')
}

/** The text as a POSIX shell reads it next: one line, or a line that lets `head` read the given number of bytes. */
function readWhole(text: string): Buffer {
  if (!text.includes('\n') && Buffer.byteLength(text) < LONG_BYTES) return Buffer.from(`${text} #end\n`)
  const body = `{\n${text}\n}\n`
  return Buffer.from(`eval "$(head -c ${Buffer.byteLength(body)})" #end\n${body}`)
}

/** The text for fish. */
export function fishText(text: LaunchText, command: string): Buffer {
  const { nonce, cwd, env } = text
  const line = [
    'set -e muster; set -e posix; set -e g',
    ...Object.entries(env).map(([name, value]) => `set -gx ${name} ${quoteForFish(value)}`),
    markBySh(nonce, '$fish_pid', text, quoteForFish),
    ...(cwd === undefined ? [] : [`cd ${quoteForFish(pathForCd(cwd))}; or exit`]),
    `eval ${quoteForFish(command)}`,
  ].join('; ')
  if (!line.includes('\n') && Buffer.byteLength(line) < LONG_BYTES) return Buffer.from(`${line} #end\n`)
  const body = `begin\n${line}\nend\n`
  return Buffer.from(`head -c ${Buffer.byteLength(body)} | read -lz muster; eval $muster #end\n${body}`)
}

/** The text for csh, which can only take a command without line ends and exclamation marks. */
export function cshText(text: LaunchText, command: string): Buffer {
  const { nonce, cwd, env } = text
  const words = [
    'unset muster posix fish',
    ...Object.entries(env).map(([name, value]) => `setenv ${name} ${quoteWord(value)}`),
    markBySh(nonce, '$$', text, quoteWord),
    ...(cwd === undefined ? [] : [`cd ${quoteWord(pathForCd(cwd))} || exit 1`]),
    `eval ${quoteWord(command)}`,
  ]
  return Buffer.from(`${words.join('; ')} #end\n`)
}

/**
 * The text for an sh that hands a command to csh. There the start mark is the first line of the command itself: csh
 * reads its start-up files once more, and they might end it.
 */
export function textForCsh(text: LaunchText, command: string): Buffer {
  const { nonce, cwd, env } = text
  const mark = markBySh(nonce, '$$', text, quoteWord)
  return readWhole(
    [
      'unset muster',
      ...Object.entries(env).map(([name, value]) => `export ${name}=${quoteWord(value)}`),
      ...(cwd === undefined ? [] : [`cd -- ${quoteWord(pathForCd(cwd))} || { ${mark}; exit 1; }`]),
      `exec "\${SHELL:-csh}" -c ${quoteWord(`${mark}\n${command}`)}`,
    ].join('; '),
  )
}

/** How to quote a word for this shell: on one line where the shell can. */
export function quoteOf({ shell }: LaunchText): (word: string) => string {
  return shell === 'sh' ? quoteWord : quoteOnOneLine
}

/** A restricted shell has no exec; it looks programs up as usual. */
function argvText(argv: readonly string[], { isRestricted }: Hello): string {
  return isRestricted ? argv.map(quoteWord).join(' ') : execWords(argv)
}

/**
 * A shell that evaluates a text does not replace itself by the last program in it, as a shell with -c does, and would
 * report a signal as 128 + n. So it is told to, where the text is a single program and not a function, alias or
 * builtin, and no trap is set, which only the shell could carry out.
 */
function commandText(command: string, text: LaunchText): string {
  // A leading "-" would be an option of eval.
  const evaluate = `eval ${quoteOf(text)(command.startsWith('-') ? ` ${command}` : command)}`
  if (text.hello.isRestricted || !isSingleProgram(command)) return evaluate
  return `case $(trap; command -v ${programOf(command)}) in /*) exec ${command};; *) ${evaluate};; esac`
}
