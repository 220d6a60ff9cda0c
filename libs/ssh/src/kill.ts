/**
 * Ending what runs on a host, and making sure: TERM to the process group, time to go, KILL, and a look whether
 * anything of the group is left. One small script, run in a second channel of the same connection.
 *
 * Says what is known, never what is likely: no answer is no confirmation. Processes that left the group (setsid) are
 * beyond its reach.
 */
import { openChannel, type RunningChannel } from './channel.ts'
import type { SshConnection } from './connection.ts'
import { launchLine, type Started } from './launcher.ts'

/**
 * What became of the group. `ended`: nothing of it is left, after our signal. `was_gone`: nothing was left before it.
 * `not_sent`: no signal was sent. `unconfirmed`: a signal was sent, and nobody can say what came of it.
 */
export type KillOutcome = 'ended' | 'was_gone' | 'not_sent' | 'unconfirmed'

/** How to kill. */
export type KillOptions = {
  /** Between TERM and KILL. */
  readonly graceMs: number
  /** For opening a channel. */
  readonly channelTimeoutMs: number
  /** Whether the command has meanwhile ended by itself: then no signal is sent. */
  readonly hasExited: () => boolean
}

/** How long the host looks for a group that was sent KILL: a process in an uninterruptible wait may take its time. */
const LOOK_MS = 2_000
/** What the host may take beyond the waiting it was asked for. */
const ANSWER_MS = 10_000
const TICK_MS = 100

/** Kills the process group of a command, and looks whether it is gone. */
export async function killGroup(
  connection: SshConnection,
  { pid, isGroup }: Started,
  { graceMs, channelTimeoutMs, hasExited }: KillOptions,
): Promise<KillOutcome> {
  const script = Buffer.from(killScript(pid, isGroup, graceMs))
  const opened = await openChannel(connection, launchLine(script), { timeoutMs: channelTimeoutMs })
  if ('failure' in opened) return 'not_sent'
  const { channel } = opened
  try {
    if (hasExited()) return 'not_sent'
    channel.resume()
    channel.stderr.resume()
    channel.end(script)
    await withinMs(graceMs + LOOK_MS + ANSWER_MS, opened.exited)
    return outcomeOf(opened, isGroup)
  } finally {
    channel.close()
  }
}

/** Resolves with the promise, or when this time is over. */
export async function withinMs(timeoutMs: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([promise, timeout])
  clearTimeout(timer)
}

function outcomeOf(running: RunningChannel, isGroup: boolean): KillOutcome {
  // Without a group of its own the command's children cannot be found, so there is nothing to confirm.
  if (!isGroup) return 'unconfirmed'
  const code = running.exit()?.code
  if (code === 0) return 'ended'
  return code === 3 ? 'was_gone' : 'unconfirmed'
}

/**
 * Exit status 0: gone; 3: gone before the first signal; 1: something is left. "kill -s TERM --" is the one spelling
 * that dash, bash and busybox share. kill -0 also fails when we may not signal what is left (a command under sudo),
 * so only "No such process" counts as gone; and it succeeds for dead processes that nobody has waited for, as happens
 * in containers, so at the end ps has a say.
 */
function killScript(pid: number, isGroup: boolean, graceMs: number): string {
  return `{
export LC_ALL=C
target=${isGroup ? '-' : ''}${pid}
gone() {
  answer=$(kill -s 0 -- "$target" 2>&1) && return 1
  case $answer in *[Nn]'o such process'*) return 0;; *) return 1;; esac
}
wait_gone() {
  ticks=$1
  while [ "$ticks" -gt 0 ]; do
    gone && return 0
    if sleep 0.1 2>/dev/null; then ticks=$((ticks - 1)); else sleep 1; ticks=$((ticks - 10)); fi
  done
  gone
}
only_dead() {
  list=$(ps -A -o pgid= -o stat= 2>/dev/null) || return 1
  [ -n "$list" ] || return 1
  printf '%s\\n' "$list" | { while read -r group state; do
    [ "-$group" = "$target" ] || continue
    case $state in Z*) ;; *) exit 1;; esac
  done; exit 0; }
}
gone && exit 3
kill -s TERM -- "$target" 2>/dev/null
wait_gone ${Math.ceil(graceMs / TICK_MS)} && exit 0
only_dead && exit 0
kill -s KILL -- "$target" 2>/dev/null
wait_gone 2 && exit 0
only_dead && exit 0
wait_gone ${LOOK_MS / TICK_MS} && exit 0
only_dead && exit 0
exit 1
}`
}
