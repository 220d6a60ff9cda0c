/**
 * The runs this worker holds, and everything that may stop one from outside: a cancel, the end of the job's time, an error
 * budget that is spent, a lease that ran out and a run that was given to others, the end of this worker. Each run hears of the first.
 *
 * Stops nothing itself: whoever carries out the run listens to its signal, whose reason is the cause.
 */
import { setMaxListeners } from 'node:events'
import { type Claim, holdsClaim, type JobWatch, type Ledger, type StopReason } from '@muster/ledger'
import { createRoomWait, type RoomWait } from './patience.ts'

/** Why a run is stopped. `fenced`: the claim is someone else's now. `shutdown`: this worker has to go. */
type StopCause = StopReason | 'fenced' | 'shutdown'

/** A run that is held. */
export type HeldRun = {
  readonly claim: Claim
  /** Aborts when the run is to stop; its reason is a {@link StopCause}. */
  readonly signal: AbortSignal
  /** The cause, once there is one. */
  stopCause(): StopCause | undefined
  /** Waits for room in Redis, for the output of this run. */
  readonly waitForRoom: RoomWait
  /** To be called when output of the run was refused because the claim is someone else's. */
  onFenced(): void
  /**
   * Calls with the exec timeout, in milliseconds: at once if it is known, and whenever it was looked at, until the
   * returned function is called.
   */
  onExecTimeout(raise: (execTimeoutMs: number) => void): () => void
  /** To be called once, at the end. */
  release(): void
}

/** All of them. */
export type HeldRuns = {
  hold(claim: Claim): HeldRun
  /** All claims at present. */
  claims(): readonly Claim[]
  /** Asks for each run whether it is still ours: after the lease had run out. Rejects when Redis does not answer. */
  checkClaims(): Promise<void>
  /** Stops every run, and those to come. */
  shutDown(): void
}

/** Keeps track of the runs of a worker. */
export function createHeldRuns(ledger: Ledger, watch: JobWatch): HeldRuns {
  const held = new Map<Claim, (cause: StopCause) => void>()
  let isShutDown = false
  return {
    hold: (claim) => {
      const stop = new AbortController()
      // A run listens with every connection, channel and clock it has.
      setMaxListeners(0, stop.signal)
      let cause: StopCause | undefined
      const stopFor = (why: StopCause) => {
        cause ??= why
        if (!stop.signal.aborted) stop.abort(cause)
      }
      const raises = new Set<(execTimeoutMs: number) => void>()
      let lastExecTimeoutMs: number | undefined
      const unwatch = watch.watch(claim.jobId, claim.index, {
        onStop: stopFor,
        onExecTimeout: (execTimeoutMs) => {
          lastExecTimeoutMs = execTimeoutMs
          for (const raise of raises) raise(execTimeoutMs)
        },
      })
      // Redis ends the job too, at its next sweep; this is the same clock, read to the second.
      const timer =
        claim.jobLeftMs === undefined ? undefined : setTimeout(() => stopFor('job_timeout'), claim.jobLeftMs)
      held.set(claim, stopFor)
      if (isShutDown) stopFor('shutdown')
      return {
        claim,
        signal: stop.signal,
        stopCause: () => cause,
        waitForRoom: createRoomWait(stop.signal),
        onFenced: () => stopFor('fenced'),
        onExecTimeout: (raise) => {
          raises.add(raise)
          // It may have been raised before whoever asks now was there to hear of it.
          if (lastExecTimeoutMs !== undefined) raise(lastExecTimeoutMs)
          return () => raises.delete(raise)
        },
        release: () => {
          clearTimeout(timer)
          unwatch()
          held.delete(claim)
        },
      }
    },
    claims: () => [...held.keys()],
    checkClaims: async () => {
      await Promise.all(
        [...held].map(async ([claim, stopFor]) => {
          if (!(await holdsClaim(ledger, claim))) stopFor('fenced')
        }),
      )
    },
    shutDown: () => {
      isShutDown = true
      for (const stopFor of held.values()) stopFor('shutdown')
    },
  }
}
