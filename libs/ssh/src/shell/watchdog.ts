/**
 * The deadline of a command on the host itself: a small process that ends the command when network or worker are not
 * there to do it. It is the last resort: the worker's clock runs out earlier.
 *
 * It runs in a session of its own (setsid) and holds none of the command's streams. It looks for the command now and
 * then, and goes away within seconds of its end; it does not touch what an ended command left running. Without setsid
 * it stays in the command's process group, and is killed with that group.
 *
 * Makes shell text only. shell-text.ts starts a watchdog with a command, remote-deadline.ts replaces it by a later one,
 * kill.ts ends it.
 */
import { startWords } from '../output/start-marks.ts'
import type { Hello } from './hello.ts'
import { quoteWord } from './quote.ts'

/** When the host ends a command by itself. */
export type HostDeadline = {
  /** From the start of the watchdog. */
  readonly afterMs: number
  /** Between TERM and KILL. */
  readonly graceMs: number
}

/** How much later than the worker's own clock, TERM and KILL the watchdog acts. */
const MARGIN_MS = 10_000

/** How long after the sending of a command with this limit its watchdog acts, in milliseconds. */
export function hostDeadlineMs(execTimeoutMs: number, graceMs: number): number {
  return execTimeoutMs + graceMs + MARGIN_MS
}

/**
 * A shell function that looks at a process without starting one: sets $state, and $began, in ticks since the boot.
 * Fails where there is no such process, or no /proc. The program's name may hold anything, so fields are counted behind
 * the last bracket.
 */
export const LOOK_AT =
  'look_at() { while read -r line; do last=$line; done <"/proc/$1/stat" || return 1; ' +
  `set -- \${last##*) }; state=$1 began=\${20}; }`

/**
 * A process with the same ID that began at another time is not the command. The pauses grow to 8 s, and are counted
 * rather than read from a clock, which may be set. TERM for a whole group must not end a watchdog that is in it.
 * A short command is often over before its watchdog is up, which then skips the process that the first pause costs.
 * On one line, without "'" and "!", as any shell must be able to quote it. The first argument is the process ID, the
 * second /proc/PID/stat of the command, or when it began, or nothing. All else is in the text, so that an odd shell
 * cannot garble it.
 */
function watchProgram(isGroup: boolean, { afterMs, graceMs }: HostDeadline): string {
  const [leftS, graceS] = [afterMs, graceMs].map((ms) => Math.ceil(Math.max(0, ms) / 1_000))
  return [
    `case $1 in ""|0*|1) exit;; *[a-z]*|*-*) exit;; esac; pid=$1 target=${isGroup ? '-' : ''}$1 born=$2`,
    `left=${leftS} grace=${graceS} pause=1; cd /; trap : TERM`,
    LOOK_AT,
    `case $born in *")"*) set -- \${born##*) }; born=\${20};; esac`,
    '[ "$born" ] || { look_at "$pid" && born=$began; }',
    'lives() { [ "$born" ] || { kill -0 "$pid"; return; }; look_at "$pid" || return 1',
    'case $state:$began in Z:*) return 1;; *:$born) return 0;; *) return 1;; esac; }',
    'if [ "$born" ]; then [ -e "/proc/$pid" ] || exit; fi',
    'while [ "$left" -gt 0 ]; do [ "$pause" -le "$left" ] || pause=$left',
    'if sleep "$pause"; then left=$((left - pause)); else sleep 1 || exit; left=$((left - 1)); fi',
    'lives || exit; [ "$pause" -ge 8 ] || pause=$((pause * 2)); done',
    'kill -TERM "$target"; sleep "$grace"',
    'if [ "$born" ] && look_at "$pid"; then case $began in $born) ;; *) exit;; esac; fi; kill -KILL "$target"',
  ].join('; ')
}

/**
 * Shell text, for a command substitution, that starts the watchdog of a process and prints the watchdog's PID. As the
 * subshell around it ends at once, the watchdog is nobody's child: a command that waits for its children does not wait
 * for it. All parameters are shell words.
 */
function startWatchdog(program: string, pid: string, born: string, hasSetsid: boolean): string {
  const start = `${hasSetsid ? 'setsid ' : ''}sh -c ${program} muster-watchdog ${pid} ${born}`
  // The blank at the end: csh would read "!)" as a word of its history.
  return `${start} </dev/null >/dev/null 2>&1 & echo $! `
}

/** A command with a watchdog. */
type Watched = {
  readonly isGroup: boolean
  readonly deadline: HostDeadline | undefined
  readonly hello: Pick<Hello, 'hasSetsid' | 'hasProc' | 'isRestricted'>
}

/**
 * Text of a POSIX shell that starts the watchdog of this very process and prints its start mark.
 * @param pid how the shell spells its process ID
 */
export function markInline(nonce: string, pid: string, watched: Watched): string {
  // A trap of a start-up file may print in the substitution, and so into the process ID.
  const check = `case \${muster%%:*} in *[!0-9]*) muster=:\${muster##*:};; esac`
  return markText(nonce, { pid, name: 'muster', program: quoteWord(programOf(watched)), check }, watched)
}

/** The same by an sh of its own, for a shell that cannot do it: ksh, fish, csh, and a restricted shell. */
export function markBySh(nonce: string, pid: string, watched: Watched, quote: (word: string) => string): string {
  const text = markText(nonce, { pid: '$1', name: 'stat', program: '"$2"' }, watched)
  // By its path, as PATH may be the command's, and a function may hide it; a restricted shell accepts no path.
  const sh = watched.hello.isRestricted ? 'sh' : '/bin/sh'
  return `${sh} -c ${quote(text)} sh ${pid} ${quote(programOf(watched))}`
}

type MarkWords = { readonly pid: string; readonly name: string; readonly program: string; readonly check?: string }

function programOf({ isGroup, deadline }: Watched): string {
  return deadline === undefined ? '' : watchProgram(isGroup, deadline)
}

/** `name` is the variable to use and unset; `check` is text that checks it. */
function markText(nonce: string, { pid, name, program, check }: MarkWords, { deadline, hello }: Watched): string {
  const watchdog = deadline && `$(${startWatchdog(program, pid, `"$${name}"`, hello.hasSetsid)})`
  return [
    hello.hasProc ? `{ IFS= read -r ${name} </proc/${pid}/stat; } 2>/dev/null || ${name}=` : `${name}=`,
    `${name}=${watchdog ?? ''}:$${name}`,
    ...(check === undefined ? [] : [check]),
    startWords(nonce, `${pid}:$${name}`),
    `unset ${name}`,
  ].join('; ')
}

/** Shell text, for a command substitution, that starts a later watchdog for a running command and prints its PID. */
export function laterWatchdog(
  { pid, isGroup, began = '' }: { readonly pid: number; readonly isGroup: boolean; readonly began?: string },
  deadline: HostDeadline,
): string {
  const start = (hasSetsid: boolean) =>
    startWatchdog(quoteWord(watchProgram(isGroup, deadline)), `${pid}`, `'${began}'`, hasSetsid)
  return `if command -v setsid >/dev/null 2>&1; then ${start(true)}; else ${start(false)}; fi`
}

/** Shell text that ends a watchdog: with its session, or alone where it has no session. */
export function endWatchdog(pid: number): string {
  return `kill -KILL -${pid} 2>/dev/null || kill -KILL ${pid} 2>/dev/null`
}
