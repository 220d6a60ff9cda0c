/** What makes this side stop following a durable run: a signal, or a call. Only the first request counts. */
import type { StopCause } from '../verdict/verdict.ts'

/**
 * Why this side stops following. "detach" leaves the command alone; so does "mute", as the host did not say in time
 * that the command runs. Anything else kills the command.
 */
export type FollowStop = StopCause | 'detach' | 'mute'

/** Watches for the first request to stop following. */
export type FollowStops = {
  /** Resolves with the first request; never without one. */
  readonly requested: Promise<FollowStop>
  isRequested(): boolean
  request(why: FollowStop): void
  /** Stops listening to the signal. */
  release(): void
}

/** Begins to watch. An abort counts by its reason: "detach", "job_timeout", or else a cancel. */
export function watchForFollowStop(signal: AbortSignal): FollowStops {
  let first: FollowStop | undefined
  let settle = (_why: FollowStop) => {}
  const requested = new Promise<FollowStop>((resolve) => {
    settle = resolve
  })
  const request = (why: FollowStop) => {
    first ??= why
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

/** Whether this request kills the command. */
export function isKill(why: FollowStop | undefined): why is StopCause {
  return why !== undefined && why !== 'detach' && why !== 'mute'
}
