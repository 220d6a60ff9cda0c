/**
 * The runs this worker holds, and everything that may stop one from outside: a cancel, the end of the job's time, a
 * spent error budget, a claim that was lost to another worker, the end of this worker. The first of these counts.
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
  /** Undefined while nothing stops the run. */
  stopCause(): StopCause | undefined
  /** Waits for room in Redis, for the output of this run. */
  readonly waitForRoom: RoomWait
  /** Stops the run, as Redis refused a step of it: the claim is someone else's. */
  onFenced(): void
  /**
   * Calls `raise` with the job's exec timeout in milliseconds: at once if it was read before, and whenever it is read
   * again. The returned function ends that.
   */
  onExecTimeout(raise: (execTimeoutMs: number) => void): () => void
  /** Lets go of the run. Call it once. */
  release(): void
}

/** All runs of a worker. */
export type HeldRuns = {
  hold(claim: Claim): HeldRun
  /** The claims of the runs that are held now. */
  claims(): readonly Claim[]
  /** Stops each run that is not ours any more, after the lease had run out. Rejects when Redis does not answer. */
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
      // The sweep ends the job too, but only at its next turn.
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
          // It may have been raised before anybody here asked to hear of it.
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
