/**
 * When and why this side stops a command: a clock runs out, somebody aborts, or there is too much output. The first
 * cause counts. Does not stop anything (kill.ts).
 */
import { causeOfAbort } from '../verdict/failure.ts'
import type { StopCause } from '../verdict/verdict.ts'

/** Watches over one command. */
export type StopWatch = {
  /** Resolves with the first cause; never without one. */
  readonly requested: Promise<StopCause>
  isRequested(): boolean
  request(cause: StopCause): void
  /** Raises the limit, counted from the beginning. False: it is not higher than before, or it is too late. */
  raise(execTimeoutMs: number): boolean
  /** From now on, this long a silence is a cause. `quietMs` returns how long there has been silence. */
  watchSilence(idleTimeoutMs: number, quietMs: () => number): void
  /** Stops the clocks and stops listening to the signal. */
  release(): void
}

/** Begins to watch: the exec timeout starts now. */
export function watchForStop(execTimeoutMs: number, signal: AbortSignal): StopWatch {
  const beganMs = performance.now()
  let isOver = false
  let isRequested = false
  let limitMs = execTimeoutMs
  let idleTimer: NodeJS.Timeout | undefined
  let resolveRequested = (_cause: StopCause) => {}
  const requested = new Promise<StopCause>((resolve) => {
    resolveRequested = resolve
  })
  const request = (cause: StopCause) => {
    isRequested = true
    resolveRequested(cause)
    release()
  }
  const startTimer = () => setTimeout(() => request('exec_timeout'), beganMs + limitMs - performance.now())
  let execTimer = startTimer()
  const onAbort = () => request(causeOfAbort(signal))
  const release = () => {
    isOver = true
    clearTimeout(execTimer)
    clearTimeout(idleTimer)
    signal.removeEventListener('abort', onAbort)
  }
  const raise = (raisedMs: number) => {
    if (isOver || raisedMs <= limitMs) return false
    limitMs = raisedMs
    clearTimeout(execTimer)
    execTimer = startTimer()
    return true
  }
  const watchSilence = (idleTimeoutMs: number, quietMs: () => number) => {
    if (isOver) return
    const leftMs = idleTimeoutMs - quietMs()
    if (leftMs <= 0) return request('idle_timeout')
    idleTimer = setTimeout(() => watchSilence(idleTimeoutMs, quietMs), Math.ceil(leftMs))
  }
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  return { requested, isRequested: () => isRequested, request, raise, watchSilence, release }
}
