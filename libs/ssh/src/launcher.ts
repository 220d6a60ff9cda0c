/**
 * How a command gets to a host: the account's shell is asked for one fixed line, and everything else (directory,
 * environment, command) follows as a small sh program on stdin. So no secret is ever on a command line that `ps`
 * shows, and the account's shell may be csh or fish.
 *
 * The line is as good as always `exec sh`, and the launcher the program that this sh finds on its stdin: a process that
 * only reads it, and the subshell that waits for that, would be a fifth of what a short command costs on the host.
 *
 * The launcher's first acts are to start the command's watchdog (watchdog.ts) and to write a marker with its process ID
 * on stderr. Until the marker was seen the command has certainly not started; from then on there is a process group to
 * kill. The command takes the launcher's place, so its exit is reported as it is. Does not open channels (channel.ts).
 */
import { MusterError } from '@muster/contract'
import { execWords, interpreterOf, quoteWord } from './quote.ts'
import type { Sudo } from './sudo.ts'
import { type HostDeadline, startWatchdog } from './watchdog.ts'

/** A command as it is to run on a host. A script is itself read from stdin, so `stdin` is for the other forms only. */
export type RemoteCommand = {
  readonly form:
    | { readonly command: string }
    | { readonly argv: readonly string[] }
    | { readonly script: string; readonly args?: readonly string[] }
  /** Absent: the command sees the end of its input at once. */
  readonly stdin?: string | Buffer
  /** Absent: the directory the account logs in to. */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Absent: it runs as the account. A command text is then read by the account's shell, under sudo always by sh. */
  readonly sudo?: Sudo | undefined
}

/** What to send for a command. */
export type Launch = {
  /** The launcher, to be written to stdin first (launcher-channel.ts). */
  readonly launcher: Buffer
  /** What follows on stdin once the marker was seen; undefined when nothing does. */
  readonly input: Buffer | undefined
}

/** Where the command runs. */
export type Started = {
  readonly pid: number
  /** Whether the process ID is also that of a process group of its own. */
  readonly isGroup: boolean
  /** What ends the command at its deadline; absent when the host has no such process. */
  readonly watchdogPid?: number
  /** When the process began, in ticks since the boot; absent where there is no /proc to tell. */
  readonly began?: string
}

/** Shell text that reads a launcher from stdin and runs it; its first argument is the number of bytes. */
export const READ_LAUNCHER = 'eval "$(head -c "$1")"'

/** Bash reads a program on stdin byte by byte: from about here on, a process that reads it in one go is cheaper. */
const LONG_BYTES = 4_096

/**
 * The line that reads a launcher from stdin and runs it. The shell may read further than the end of the launcher
 * (dash and busybox read blocks), so nothing else may be sent before the launcher has said a word.
 */
export function launchLine(launcher: Buffer): string {
  return launcher.length > LONG_BYTES ? `exec sh -c '${READ_LAUNCHER}' sh ${launcher.length}` : 'exec sh'
}

/**
 * The launcher that runs this shell text, whole or not at all. A shell reads a group in braces to its end before it
 * runs any of it, so a launcher that is cut off on the way is a syntax error and starts nothing. And it never reads on
 * behind it, not even where a failed exec does not end it (execfail of bash): what follows is the command's own input.
 */
export function wholeLauncher(text: string): Buffer {
  return Buffer.from(`{\n${text}\nexit\n}\n`)
}

/**
 * What to send to a host to run this command. Without a deadline the host never ends it by itself.
 * @throws {MusterError} invalid_request: a NUL character, a malformed variable name, or stdin together with a script.
 */
export function writeLaunch(command: RemoteCommand, nonce: string, deadline?: HostDeadline): Launch {
  const lines = [
    // Kept in a parameter, because the environment that is set below may bring a SHELL of its own. Under sudo it is
    // that of the other user, which for most that services run as is nologin.
    command.sudo === undefined ? `set -- "\${SHELL:-/bin/sh}"` : 'set -- /bin/sh',
    'if kill -0 "-$$" 2>/dev/null; then set -- "$1" group; else set -- "$1" process; fi',
    ...(deadline === undefined ? [] : [`set -- "$1" "$2" "$(\n${startWatchdog('"$$" "$2" ""', deadline)}\n)"`]),
    `printf '${markerStart(nonce)}%s:%s:%s\\n' "$$" "$2" "$3" >&2 || exit 125`,
    ...commandLines(command),
  ]
  return { launcher: wholeLauncher(lines.join('\n')), input: inputOf(command) }
}

/**
 * The lines that turn a shell, whose first parameter is the account's shell, into the command.
 * @throws {MusterError} invalid_request: as of `writeLaunch`
 */
export function commandLines(command: RemoteCommand): string[] {
  checkCommand(command)
  const { form, cwd, env = {} } = command
  return [
    // "-" alone would mean the previous directory; CDPATH would make cd look elsewhere and print what it found.
    ...(cwd === undefined ? [] : [`CDPATH= cd -- ${quoteWord(cwd === '-' ? './-' : cwd)} || exit`]),
    ...Object.entries(env).map(([name, value]) => `export ${name}=${quoteWord(value)}`),
    startLine(form),
  ]
}

/** What the command reads from its stdin; undefined when that is at its end at once. */
export function inputOf({ form, stdin }: RemoteCommand): Buffer | undefined {
  const input = 'script' in form ? form.script : stdin
  return input === undefined ? undefined : Buffer.from(input)
}

/**
 * Takes the marker out of what comes on stderr. `pass` gives what is not part of it, in order and exactly, however
 * the bytes are cut; it holds back as much as may still be the beginning of the marker, and `rest` gives that.
 * What the account's start-up files print before it is left as it is.
 */
export function findMarker(
  nonce: string,
  onFound: (started: Started) => void,
): { pass(bytes: Buffer): Buffer; rest(): Buffer } {
  const start = Buffer.from(markerStart(nonce))
  let isFound = false
  let held: Buffer = Buffer.alloc(0)
  const pass = (bytes: Buffer): Buffer => {
    if (isFound) return bytes
    const text = Buffer.concat([held, bytes])
    const at = text.indexOf(start)
    const lineEnd = at === -1 ? -1 : text.indexOf('\n', at)
    if (lineEnd === -1) {
      const keepFrom = at === -1 ? Math.max(0, text.length - start.length + 1) : at
      held = text.subarray(keepFrom)
      return text.subarray(0, keepFrom)
    }
    isFound = true
    held = Buffer.alloc(0)
    onFound(readMarker(text.toString('latin1', at + start.length, lineEnd)))
    return Buffer.concat([text.subarray(0, at), text.subarray(lineEnd + 1)])
  }
  return { pass, rest: () => held }
}

function readMarker(fields: string): Started {
  const [pid, kind, watchdogPid = '', began = ''] = fields.split(':')
  return {
    ...{ pid: Number(pid), isGroup: kind === 'group' },
    ...(/^\d+$/.test(watchdogPid) && { watchdogPid: Number(watchdogPid) }),
    ...(/^\d+$/.test(began) && { began }),
  }
}

function markerStart(nonce: string): string {
  return `muster-${nonce}:`
}

function startLine(form: RemoteCommand['form']): string {
  if ('argv' in form) return execWords(form.argv)
  if ('script' in form) return execWords(interpreterOf(form.script) ?? ['sh'])
  return `exec "$1" -c ${quoteWord(form.command)}`
}

function checkCommand({ form, stdin, cwd = '', env = {} }: RemoteCommand): void {
  if ('argv' in form && form.argv.length === 0) {
    throw new MusterError('invalid_request', 'argv is empty: give at least the program', { details: { field: 'argv' } })
  }
  if ('script' in form && stdin !== undefined) {
    const message = 'stdin was given with a script, which is itself read from stdin'
    throw new MusterError('invalid_request', message, { details: { field: 'stdin' } })
  }
  if ('script' in form && form.args !== undefined) {
    throw new MusterError('invalid_request', 'a script takes no arguments yet', { details: { field: 'script_args' } })
  }
  const badName = Object.keys(env).find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
  if (badName !== undefined) {
    const message = `${JSON.stringify(badName)} is no name for an environment variable: use letters, digits and "_"`
    throw new MusterError('invalid_request', message, { details: { field: 'env' } })
  }
  // A script is not looked at: it travels as bytes, and its interpreter decides.
  const words = 'argv' in form ? form.argv : 'command' in form ? [form.command] : []
  if ([...words, cwd, ...Object.values(env)].some((word) => word.includes('\0'))) {
    throw new MusterError('invalid_request', 'a command, argument, directory or variable contains a NUL character')
  }
}
