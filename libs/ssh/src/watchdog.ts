/**
 * The deadline of a command on the host itself: a small process that ends the command when neither the network nor
 * the worker is there to do it. It is the last resort: whoever follows the command has a clock that runs out earlier.
 *
 * It sits in a session of its own (setsid) and holds none of the command's streams. It looks for the command now and
 * then, and goes away within seconds of its end; what an ended command left running it does not touch. Where there is
 * no setsid it stays in the command's process group, and goes with it when that group is killed.
 *
 * Only shell text is made here. launcher.ts starts a watchdog with a command, remote-deadline.ts puts a later one in
 * its place, kill.ts ends it.
 */
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

/** When, from the sending of a command with this limit, its watchdog has to act. */
export function hostDeadlineMs(execTimeoutMs: number, graceMs: number): number {
  return execTimeoutMs + graceMs + MARGIN_MS
}

/**
 * A shell function that looks at a process, without starting one: $state, and when it $began, in ticks since the
 * boot. False: there is no such process, or no /proc. The name of the program may hold anything, so what counts is
 * behind the last bracket.
 */
export const LOOK_AT = `look_at() {
  while read -r line; do last=$line; done <"/proc/$1/stat" || return 1
  set -- \${last##*) }
  state=$1 began=\${20}
}`

/**
 * A process of the same ID that began at another time is not the command. The pauses grow to 8 s, and are counted
 * rather than read from a clock, which may be set. TERM for a whole group must not end a watchdog that is in it.
 * A short command is often over before its watchdog is up, which then spares the process that the first pause costs.
 */
const WATCH = `pid=$1 target=$2 born=$3 left=$4 grace=$5 pause=1
cd /
trap : TERM
${LOOK_AT}
lives() {
  [ "$born" ] || { kill -0 "$pid"; return; }
  look_at "$pid" && [ "$state" != Z ] && [ "$began" = "$born" ]
}
[ "$born" ] && [ ! -e "/proc/$pid" ] && exit
while [ "$left" -gt 0 ]; do
  [ "$pause" -le "$left" ] || pause=$left
  if sleep "$pause"; then left=$((left - pause)); else sleep 1 || exit; left=$((left - 1)); fi
  lives || exit
  [ "$pause" -ge 8 ] || pause=$((pause * 2))
done
kill -TERM "$target"
sleep "$grace"
[ "$born" ] && look_at "$pid" && [ "$began" != "$born" ] && exit
kill -KILL "$target"`

/**
 * Shell text, for a command substitution, that starts the watchdog of a process. It prints the watchdog's process ID,
 * ":" and when the process began; either may be empty. As the subshell around it ends at once, the watchdog is nobody's
 * child: a command that waits for its children does not wait for it.
 * @param leader three shell words: process ID, "group" or "process", and when it began, or '' to find that out
 */
export function startWatchdog(leader: string, { afterMs, graceMs }: HostDeadline): string {
  const seconds = [afterMs, graceMs].map((ms) => Math.ceil(Math.max(0, ms) / 1_000)).join(' ')
  return `set -- ${leader}
pid=$1 target=$1 born=$3
[ "$2" = process ] || target=-$1
${LOOK_AT}
[ "$born" ] || { look_at "$pid" && born=$began; } 2>/dev/null
if command -v setsid >/dev/null 2>&1; then set -- setsid; else set --; fi
"$@" sh -c ${quoteWord(WATCH)} muster-watchdog "$pid" "$target" "$born" ${seconds} </dev/null >/dev/null 2>&1 &
printf %s:%s "$!" "$born"`
}

/** Shell text that ends a watchdog: with its session, or alone where it has none. */
export function endWatchdog(pid: number): string {
  return `kill -KILL -${pid} 2>/dev/null || kill -KILL ${pid} 2>/dev/null`
}
