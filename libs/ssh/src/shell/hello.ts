/**
 * The first line that a host gets: the account's own shell says hello, with a nonce, on both streams, and waits for one
 * more line. The line holds nothing of the command. So a host that never says hello certainly does not have the
 * command, and one that does is known to run lines, to deliver their output, and by which shell.
 *
 * One text serves every shell: `set posix fish` sets $1 in sh, $posix in fish, and two empty variables in csh, so each
 * evaluates its own part. Start-up files are read once, as for `ssh host command`. Only a shell that runs the line
 * expands the process ID: an echo of the line is no hello. Sends nothing (launcher-channel.ts).
 */
import { neverWords } from '../output/start-marks.ts'
import { quoteWord } from './quote.ts'

/** A kind of shell that has a launch text of its own; `sh` is any other POSIX shell. */
type ShellKind = 'sh' | 'bash' | 'zsh' | 'ksh' | 'fish' | 'csh'

/** What the account's shell said about itself and its host. */
export type Hello = {
  readonly shell: ShellKind
  /** The name to start the same shell by once more; `sh` where its own name is not found. */
  readonly program: string
  readonly pid: number
  /** Whether it leads a process group of its own. OpenSSH gives each command one; dropbear and wrappers do not. */
  readonly isGroup: boolean
  /** Whether the shell is restricted, as rbash is: no exec, no output to files, no programs by path. */
  readonly isRestricted: boolean
  readonly hasSetsid: boolean
  /** Whether there is a /proc as Linux has. */
  readonly hasProc: boolean
  readonly hasDevFd: boolean
}

/** A longer line is not a hello. */
export const HELLO_LIMIT_BYTES = 1_024

/**
 * Shell text that reads one line and runs it if it is ours and whole, as its mark at the end shows. A start-up file may
 * have replaced stdin by another file, and `read` of fish and `$<` of csh accept a line that was cut off. Without such
 * a line it says that the command never came.
 */
export function nextLine(nonce: string, shell: ShellKind): string {
  if (shell === 'csh') return NEXT_CSH
  const never = `${neverWords(nonce)}; exit 1`
  if (shell === 'fish') {
    const isOurs = 'string match -q "*#end" -- $muster'
    return `read -l muster; ${isOurs}; or begin; ${never}; end; eval $muster; exit $status`
  }
  return `IFS= read -r muster || muster=; case $muster in *"#end") eval "$muster";; *) ${never};; esac`
}
const NEXT_CSH = 'set muster = "$<"; if ( "$muster:q" =~ "*#end" ) eval "$muster:q"; exit $status'

/** Stands before the nonce in a hello. */
const HELLO = 'hello-'

/** The same on both streams. The number names the stream, as streams may be merged. */
const onBoth = (words: string): string => `echo ${words}:1; echo ${words}:2 >&2`

/**
 * The hello of a POSIX shell, which then waits. It collects its findings in $1, using builtins only. The text has no
 * quote, backslash, exclamation mark or line end, so that any shell can quote it; `\${1}` because zsh reads `$1:s` as a
 * modifier. A restricted shell may not even write to /dev/null.
 */
export function helloProgram(nonce: string): string {
  const restricted = `set -- "\${1}:restricted"; kill -0 "-$$" && set -- "\${1}:group"`
  const free = [
    `kill -0 "-$$" 2>/dev/null && set -- "\${1}:group"`,
    `command -v setsid >/dev/null 2>&1 && set -- "\${1}:setsid"`,
    `command -v "\${0}" >/dev/null 2>&1 && set -- "\${1}:as=\${0}"`,
  ].join('; ')
  return [
    `set -- "${nonce}:$$"`,
    `case $- in *r*) ${restricted};; *) ${free};; esac`,
    `[ -r /proc/self/stat ] && set -- "\${1}:proc"`,
    `[ -e /dev/fd/0 ] && set -- "\${1}:devfd"`,
    `set -- "\${1}:in=\${BASH_VERSION:+bash}\${ZSH_VERSION:+zsh}\${KSH_VERSION:+ksh}"`,
    `${onBoth(`"${HELLO}\${1}"`)}; set --`,
    nextLine(nonce, 'sh'),
  ].join('; ')
}

/** fish and csh ask sh about their process group: kill of fish is that of procps, which says yes for no group. */
function fishProgram(nonce: string): string {
  const words = `${HELLO}${nonce}:$fish_pid:$g:in=fish`
  const isGroup = 'set -l g none; /bin/sh -c "kill -0 -$fish_pid" 2>/dev/null; and set g group'
  return `${isGroup}; command -q setsid; and set g $g:setsid; ${onBoth(words)}; ${nextLine(nonce, 'fish')}`
}

function cshProgram(nonce: string): string {
  const say = (words: string) => `(${onBoth(`${HELLO}${nonce}:$$${words}:in=csh`)})`
  return `/bin/sh -c "kill -0 -$$ 2>/dev/null && ${say(':group:setsid')} || ${say(':setsid')}"; ${NEXT_CSH}`
}

/** The first line for a host to run. The part of sh comes last: ksh93 garbles an exit behind it. */
export function firstLine(nonce: string): string {
  return [
    'set posix fish',
    `test "$1" = posix || test -z "$posix" || eval '${fishProgram(nonce)}'`,
    `test "$1" = posix || eval '${cshProgram(nonce)}'`,
    'test "$1" = posix || exit 1',
    `eval '${helloProgram(nonce)}'`,
  ].join('; ')
}

/** A line that replaces a shell which has said hello by another shell, which reads the next line. */
export function changeShell(words: readonly string[]): string {
  return `exec ${words.map(quoteWord).join(' ')} #end\n`
}

/** The hello with this nonce in a text; undefined while there is none. */
export function findHello(nonce: string, text: Buffer): Hello | undefined {
  const mark = `${HELLO}${nonce}:`
  for (let at = text.indexOf(mark); at !== -1; at = text.indexOf(mark, at + 1)) {
    const lineEnd = text.indexOf('\n', at)
    if (lineEnd === -1 || lineEnd - at > HELLO_LIMIT_BYTES) continue
    const hello = readHello(text.toString('latin1', at + mark.length, lineEnd).trimEnd())
    if (hello !== undefined) return hello
  }
  return undefined
}

/** The host chooses all of it: digits, lower-case words, and the name of a program. */
const FIELDS = /^(\d{1,10})((?::[a-z]{1,16}|:as=[\w./+-]{1,255})*):in=([a-z]*):[12]$/

const KINDS: ReadonlyMap<string, ShellKind> = new Map<string, ShellKind>([
  ['bash', 'bash'],
  ['zsh', 'zsh'],
  ['ksh', 'ksh'],
  ['fish', 'fish'],
  ['csh', 'csh'],
])

function readHello(line: string): Hello | undefined {
  const [, pid, words = '', kind = ''] = FIELDS.exec(line) ?? []
  if (pid === undefined) return undefined
  const said = new Set(words.split(':'))
  const program = /:as=([\w./+][\w./+-]*)/.exec(words)?.[1]
  const shell = KINDS.get(kind) ?? 'sh'
  return {
    shell,
    program: program ?? (shell === 'fish' ? 'fish' : shell === 'csh' ? 'csh' : 'sh'),
    pid: Number(pid),
    isGroup: said.has('group'),
    isRestricted: said.has('restricted'),
    hasSetsid: said.has('setsid'),
    hasProc: said.has('proc') || shell === 'fish' || shell === 'csh',
    hasDevFd: said.has('devfd') || shell === 'fish' || shell === 'csh',
  }
}
