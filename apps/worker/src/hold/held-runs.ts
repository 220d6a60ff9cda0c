/**
 * The runs that this worker holds, and everything that may stop one from outside: a cancel, the end of the job's time,
 * a spent error budget, a claim lost to another worker, the shutdown of this worker. The first cause counts.
 *
 * Nothing is killed here: whatever carries out a run listens to its signal, whose reason is the cause.
 */
import { setMaxListeners } from 'node:events'
import { type Claim, holdsClaim, type JobWatch, type Ledger, type LedgerStop } from '@muster/ledger'
import { createRoomWait, type RoomWait } from './patience.ts'

/** Why a run is stopped. `fenced`: this worker has lost its claim. `shutdown`: this worker is shutting down. */
type RunStop = LedgerStop | 'fenced' | 'shutdown'

/** A run that this worker holds. */
export type HeldRun = {
  readonly claim: Claim
  /** Aborts when the run is to stop; its reason is a {@link RunStop}. */
  readonly signal: AbortSignal
  /** Undefined while nothing stops the run. */
  stoppedBy(): RunStop | undefined
  /** Waits for Redis to have room for the output of this run. */
  readonly waitForRoom: RoomWait
  /** Stops the run because Redis refused one of its steps: this worker has lost the claim. */
  onFenced(): void
  /**
   * Calls `raise` with the exec timeout of the job in milliseconds whenever it is read, and at once if it has been read
   * already. Returns a function that stops the calls.
   */
  onExecTimeout(raise: (execTimeoutMs: number) => void): () => void
  /** Lets go of the run. Call this once. */
  release(): void
}

/** All runs that a worker holds. */
export type HeldRuns = {
  hold(claim: Claim): HeldRun
  /** The claims of the runs held now. */
  claims(): readonly Claim[]
  /** Stops the runs that were lost while the lease had run out. Rejects when Redis does not answer. */
  checkClaims(): Promise<void>
  /** Stops all runs, and any that are claimed later. */
  shutDown(): void
}

/**
 * Keeps track of the runs of a worker. `mayTake` says whether commands of a job may take so long; `onError` hears when
 * that could not be found out, and it is asked again at the next look.
 */
export function createHeldRuns(
  ledger: Ledger,
  watch: JobWatch,
  rules: { mayTake: (jobId: string, execTimeoutMs: number) => Promise<boolean>; onError: (error: unknown) => void },
): HeldRuns {
  const held = new Map<Claim, (cause: RunStop) => void>()
  let isShutDown = false
  return {
    hold: (claim) => {
      const stop = new AbortController()
      // Every connection, channel and clock of a run adds a listener.
      setMaxListeners(0, stop.signal)
      let cause: RunStop | undefined
      const stopFor = (why: RunStop) => {
        cause ??= why
        if (!stop.signal.aborted) stop.abort(cause)
      }
      const raises = new Set<(execTimeoutMs: number) => void>()
      let lastExecTimeoutMs: number | undefined
      const raise = (execTimeoutMs: number) => {
        lastExecTimeoutMs = execTimeoutMs
        for (const raiseOne of raises) raiseOne(execTimeoutMs)
      }
      const raiseIfAllowed = async (execTimeoutMs: number) => {
        if (await rules.mayTake(claim.jobId, execTimeoutMs)) raise(execTimeoutMs)
      }
      const unwatch = watch.watch(claim.jobId, claim.index, {
        onStop: stopFor,
        onExecTimeout: (execTimeoutMs) => {
          const present = Math.max(claim.execTimeoutMs, lastExecTimeoutMs ?? 0)
          if (execTimeoutMs > present) raiseIfAllowed(execTimeoutMs).catch(rules.onError)
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
        stoppedBy: () => cause,
        waitForRoom: createRoomWait(stop.signal),
        onFenced: () => stopFor('fenced'),
        onExecTimeout: (raise) => {
          raises.add(raise)
          // It may have been raised before anybody listened.
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
