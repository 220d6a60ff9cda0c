/**
 * The watchdog of one command as seen from here: which one is on guard on the host, when it acts, and how a later one
 * replaces it when the limit is raised. The new one is started first, so the command is never without.
 *
 * If a host does not let its watchdog be replaced (it gives no channel), this keeps trying. Should the old watchdog act
 * meanwhile, `isOver` says so, and the end is reported as what it is. The worker's own clock is in stop.ts.
 */
import { runScript } from '../channel/remote-script.ts'
import type { SshConnection } from '../connect/connection.ts'
import type { Started } from '../output/start-marks.ts'
import type { Sudo } from '../shell/sudo.ts'
import { endWatchdog, hostDeadlineMs, laterWatchdog } from '../shell/watchdog.ts'
import { withinMs } from '../verdict/within-ms.ts'

/** The deadline of one command on its host. */
export type RemoteDeadline = {
  /** Call it once the command runs. */
  hasStarted(started: Started): void
  /** The command, with the watchdog that is on guard; undefined until it has started. */
  started(): Started | undefined
  /** Moves the deadline behind this limit, counted from the sending of the command; at once, or after its start. */
  moveBehind(execTimeoutMs: number): void
  /** Whether the watchdog on guard would have acted by now. */
  isOver(): boolean
  /** Moves no more. Resolves when no move is under way, so that no watchdog appears afterwards. */
  settle(): Promise<void>
}

/** The limits of the command, and of the work on its deadline. */
export type RemoteDeadlineOptions = {
  readonly execTimeoutMs: number
  readonly killGraceMs: number
  readonly channelTimeoutMs: number
  /** How the command was started. */
  readonly sudo?: Sudo | undefined
}

const ANSWER_MS = 5_000
/** Between two tries. The margin of the old watchdog allows for several. */
const AGAIN_MS = 2_000

/** Follows the deadline of a command that is being sent now. */
export function followDeadline(
  connection: SshConnection,
  { execTimeoutMs, killGraceMs, channelTimeoutMs, sudo }: RemoteDeadlineOptions,
): RemoteDeadline {
  const sentMs = performance.now()
  const elapsedMs = () => performance.now() - sentMs
  let started: Started | undefined
  let wantedMs = execTimeoutMs
  let presentMs = execTimeoutMs
  let moving: Promise<void> | undefined
  let settle = () => {}
  let isSettled = false
  const settled = new Promise<void>((resolve) => {
    settle = () => {
      isSettled = true
      resolve()
    }
  })

  const move = async () => {
    while (started !== undefined && presentMs < wantedMs && !isSettled && connection.isOpen()) {
      const goalMs = wantedMs
      const afterMs = hostDeadlineMs(goalMs, killGraceMs) - elapsedMs()
      const script = moveScript(started, { afterMs, graceMs: killGraceMs })
      const isWanted = () => !isSettled
      const end = await runScript(connection, script, { sudo, channelTimeoutMs, answerMs: ANSWER_MS, isWanted })
      const watchdogPid =
        end !== undefined && 'exit' in end ? /^muster-new:(\d{1,10})$/m.exec(end.output)?.[1] : undefined
      if (watchdogPid === undefined) {
        await withinMs(AGAIN_MS, settled)
        continue
      }
      started = { ...started, watchdogPid: Number(watchdogPid) }
      presentMs = goalMs
    }
    moving = undefined
  }
  const moveIfNeeded = () => {
    moving ??= started !== undefined && presentMs < wantedMs ? move() : undefined
  }
  return {
    hasStarted: (found) => {
      started = found
      moveIfNeeded()
    },
    started: () => started,
    moveBehind: (limitMs) => {
      wantedMs = limitMs
      moveIfNeeded()
    },
    isOver: () => elapsedMs() >= hostDeadlineMs(presentMs, killGraceMs),
    settle: async () => {
      settle()
      await moving
    },
  }
}

function moveScript(started: Started, deadline: { readonly afterMs: number; readonly graceMs: number }): string {
  const { watchdogPid } = started
  return `new=$(\n${laterWatchdog(started, deadline)}\n)
case $new in [0-9]*) ;; *) exit 1;; esac
${watchdogPid === undefined ? ':' : `{ ${endWatchdog(watchdogPid)}; }`}
printf 'muster-new:%s\\n' "$new"`
}
