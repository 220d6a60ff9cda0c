/**
 * Ends a command on its host and makes sure: TERM to the process group, time to go, KILL, and a look whether anything
 * of the group is left. One small script in a second channel of the same connection; once sent it is carried out,
 * whatever happens to the connection.
 *
 * Says what is known, never what is likely: no answer is no confirmation. Processes that left the group (setsid) are
 * out of reach.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { SshConnection } from '../connect/connection.ts'
import type { Started } from '../output/start-marks.ts'
import type { Sudo } from '../shell/sudo.ts'
import { endWatchdog, LOOK_AT } from '../shell/watchdog.ts'
import type { KillResult } from '../verdict/verdict.ts'
import { runScript, type ScriptEnd } from './remote-script.ts'

/** How to kill. */
export type KillOptions = {
  /** Between TERM and KILL. */
  readonly graceMs: number
  /** For opening a channel. */
  readonly channelTimeoutMs: number
  /** Whether the command has ended by itself meanwhile: then no signal is sent. */
  readonly hasExited: () => boolean
  /** Signals without a channel, for a host that refuses one. Nobody hears whether it worked. */
  readonly signal?: (name: 'TERM' | 'KILL') => void
  /** The user the command runs as: nobody else can signal it, or see that it is gone. */
  readonly sudo?: Sudo | undefined
}

/** How long the host looks for a group after KILL: a process in an uninterruptible wait may take its time. */
const LOOK_MS = 4_000
/** How long the host may take beyond the waiting it was asked for. */
const ANSWER_MS = 10_000
/** Between two requests for a channel at a host that refuses one: it may be at its limit (MaxSessions). */
const AGAIN_MS = 250

/** Kills the process group of a command and checks that it is gone. */
export async function killGroup(
  connection: SshConnection,
  started: Started,
  { graceMs, channelTimeoutMs, hasExited, signal, sudo }: KillOptions,
): Promise<KillResult> {
  const script = killScript(started, graceMs)
  const beganMs = performance.now()
  const sent = new Set<'TERM' | 'KILL'>()
  for (;;) {
    const isWanted = () => sent.size > 0 || !hasExited()
    const answerMs = graceMs + LOOK_MS + ANSWER_MS
    const end = await runScript(connection, script, { sudo, channelTimeoutMs, answerMs, isWanted })
    if (end === undefined) return 'not_sent'
    if ('exit' in end) return killResultOf(end, started, sent.size > 0)

    const waitedMs = performance.now() - beganMs
    const isHopeless = !connection.isOpen() || waitedMs > graceMs + LOOK_MS
    if (isHopeless || signal === undefined) return sent.size > 0 ? 'only_asked' : 'not_sent'
    if (hasExited() && sent.size === 0) return 'not_sent'
    const next = waitedMs < graceMs || sent.size === 0 ? 'TERM' : 'KILL'
    if (!sent.has(next)) signal(next)
    sent.add(next)
    await delay(AGAIN_MS)
  }
}

function killResultOf({ exit }: ScriptEnd, { isGroup }: Started, hasSignalled: boolean): KillResult {
  // Without a group of its own the command's children cannot be found, so there is nothing to confirm.
  if (!isGroup) return 'unconfirmed'
  if (exit?.code === 0) return 'ended'
  if (exit?.code === 3) return hasSignalled ? 'ended' : 'was_gone'
  return 'unconfirmed'
}

/**
 * The script that kills a process, or its group; `pid` may be shell text. `guard` comes before the first signal and may
 * exit.
 *
 * Exit status 0: gone; 3: gone before the first signal; 1: something is left. "kill -TERM -PGID", with no "--", is
 * the one spelling that dash, bash and busybox share. kill -0 also fails when we may not signal what is left (a command
 * under sudo), so only "No such process" counts as gone. It succeeds for dead processes that nobody has waited for, as
 * happens in containers, so once the command itself is dead the process table decides. Reading the table costs most,
 * and two hundred of these scripts may run at once: the longer the table, the later it is read; kill starts no process.
 */
export function killScript(
  { pid, isGroup, watchdogPid }: { readonly pid: number | string } & Pick<Started, 'isGroup' | 'watchdogPid'>,
  graceMs: number,
  guard = '',
): string {
  return `export LC_ALL=C
pid=${pid} target=${isGroup ? '-' : ''}${pid}
gone() {
  kill -0 "$target" 2>/dev/null && return 1
  answer=$(kill -0 "$target" 2>&1) && return 1
  case $answer in *[Nn]'o such process'*) return 0;; *) return 1;; esac
}
${LOOK_AT}
leader_dead() {
  [ -e "/proc/$$/stat" ] || return 1
  ! { look_at "$pid"; } 2>/dev/null || [ "$state" = Z ]
}
only_dead() {
  group=$(grep -hs ") . [0-9]* $pid " /proc/[0-9]*/stat) ||
    group=$(ps -A -o pgid= -o stat= 2>/dev/null | sed -n "s/^ *$pid  */) /p")
  [ "$group" ] && ! printf '%s\\n' "$group" | grep -qv ') Z'
}
wait_gone() {
  left=$1 most=$2 pause=50 waited=0
  set -- /proc/[0-9]*
  read_at=$(($# * 2))
  until gone; do
    if [ "$waited" -ge "$read_at" ] && leader_dead; then
      only_dead && return 0
      read_at=$((waited * 3))
    fi
    [ "$left" -gt 0 ] || return 1
    [ "$pause" -le "$left" ] || pause=$left
    digits=$((1000 + pause % 1000))
    sleep "$((pause / 1000)).\${digits#1}" 2>/dev/null || { sleep 1; pause=1000; }
    left=$((left - pause)) waited=$((waited + pause))
    [ "$pause" -ge "$most" ] || pause=$((pause * 2))
  done
}
${watchdogPid === undefined ? ':' : endWatchdog(watchdogPid)}
gone && exit 3
${guard}
kill -TERM "$target" 2>/dev/null
wait_gone ${Math.ceil(graceMs)} 800 && exit 0
kill -KILL "$target" 2>/dev/null
wait_gone ${LOOK_MS} 200 && exit 0
only_dead && exit 0
exit 1`
}
