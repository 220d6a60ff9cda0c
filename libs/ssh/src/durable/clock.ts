/**
 * The clocks of this side for one connection to a durable run: how long its host may be silent before it has said that
 * the command runs, and how late its own clock may be after that. Also what asks from this side to stop. Stops nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { StopCause } from '../verdict/verdict.ts'

/** What a clock needs to be told. */
export type ClockOptions = {
  /** Of the command, from its start on. */
  readonly execTimeoutMs: number
  /** How late the host may be before this side takes over. */
  readonly lateMs: number
  /** How long the host may say nothing before the command has started. */
  readonly muteMs: number
  readonly onTimeout: () => void
  readonly onMute: () => void
  /** Raises the limit on the host; resolves with whether it has confirmed that. */
  readonly raise: (execTimeoutMs: number) => Promise<boolean>
}

/** A clock that runs. */
export type DurableClock = {
  /** The host is at work: its time to answer begins anew. */
  heard(): void
  /** The command has started, so long ago: whoever followed it until now. */
  start(ageMs: number): void
  /** A higher time limit, from the start on; a lower one changes nothing. */
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

/** Why this side stops following: "detach" leaves the command alone, "mute" too, anything else kills it. */
export type StopRequest = StopCause | 'detach' | 'mute'

/** Waits for the first request to stop, by a signal or by a call. */
export function watchForStop(signal: AbortSignal) {
  let first: StopRequest | undefined
  let settle = (_cause: StopRequest) => {}
  const requested = new Promise<StopRequest>((resolve) => {
    settle = resolve
  })
  const request = (cause: StopRequest) => {
    first ??= cause
    settle(first)
  }
  const onAbort = () => {
    const { reason } = signal
    request(reason === 'detach' || reason === 'job_timeout' ? reason : 'cancelled_by_user')
  }
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  return {
    requested,
    request,
    isRequested: () => first !== undefined,
    release: () => signal.removeEventListener('abort', onAbort),
  }
}
