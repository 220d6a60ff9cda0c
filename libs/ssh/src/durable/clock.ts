/**
 * This side's clock for one connection to a durable run: first, how long the host may be silent before it says that the
 * command runs; then, how late the host's own clock may be. Stops nothing (follow.ts).
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** What a clock counts, and whom it calls. */
export type ClockOptions = {
  /** The limit of the command, counted from its start. */
  readonly execTimeoutMs: number
  /** How late the host may be before this side takes over. */
  readonly lateMs: number
  /** How long the host may be silent before the command has started. */
  readonly muteMs: number
  readonly onTimeout: () => void
  readonly onMute: () => void
  /** Raises the limit on the host; resolves with whether the host confirmed it. */
  readonly raise: (execTimeoutMs: number) => Promise<boolean>
}

/** A running clock. */
export type DurableClock = {
  /** The host is at work: its time to answer starts again. */
  heard(): void
  /** The command has started, this long ago; another worker may have followed it since. */
  start(ageMs: number): void
  /** Raises the time limit, counted from the start; a lower one changes nothing. */
  raiseTo(execTimeoutMs: number): void
  stop(): void
}

const RAISE_AGAIN_MS = 1_000
const MAX_TIMER_MS = 2 ** 31 - 1

/** Starts the clock of a connection. */
export function startClock({ lateMs, muteMs, onTimeout, onMute, raise, ...first }: ClockOptions): DurableClock {
  let { execTimeoutMs } = first
  let startedAt: number | undefined
  let timer: NodeJS.Timeout | undefined
  let isOver = false
  const arm = () => {
    clearTimeout(timer)
    if (isOver) return
    if (startedAt === undefined) {
      timer = setTimeout(onMute, muteMs)
      return
    }
    const leftMs = startedAt + execTimeoutMs + lateMs - performance.now()
    timer = setTimeout(onTimeout, Math.min(MAX_TIMER_MS, Math.max(0, leftMs)))
  }
  const raiseOnHost = async () => {
    const wanted = execTimeoutMs
    while (!isOver && wanted === execTimeoutMs && !(await raise(wanted))) await sleep(RAISE_AGAIN_MS)
  }
  arm()
  return {
    heard: () => {
      if (startedAt === undefined) arm()
    },
    start: (ageMs) => {
      startedAt ??= performance.now() - ageMs
      arm()
      if (execTimeoutMs !== first.execTimeoutMs) void raiseOnHost().catch(() => {})
    },
    raiseTo: (raisedMs) => {
      if (raisedMs <= execTimeoutMs) return
      execTimeoutMs = raisedMs
      // Before the start there is no limit to raise; the raised one is sent when there is.
      if (startedAt === undefined) return
      arm()
      void raiseOnHost().catch(() => {})
    },
    stop: () => {
      isOver = true
      clearTimeout(timer)
    },
  }
}
