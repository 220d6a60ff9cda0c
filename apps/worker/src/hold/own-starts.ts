/**
 * How often this worker has sent the command of a job to each of its hosts. Whoever can write to Redis can have a run
 * queued again that has ended; the worker that has run it knows better.
 *
 * Kept until no attempt of the job may start any more, in this process only.
 */
import type { Claim, RunEnd } from '@muster/ledger'
import { mayHaveRun } from './run-end.ts'

/** Most bytes of counts; then the job that was added first is forgotten. */
const KEPT_BYTES = 64 * 1024 * 1024
/** What a job takes besides its counts, roughly. */
const JOB_BYTES = 256

type Counts = { readonly ofHosts: Uint8Array; untilMs: number }

/**
 * The signed limits on starts of a job over `total` hosts: at most `sends` on each, and none after `untilMs` by the
 * clock of this worker.
 */
export type SignedStarts = { readonly total: number; readonly sends: number; readonly untilMs: number }

/** Counts the starts of one worker process. */
export class OwnStarts {
  readonly #jobs = new Map<string, Counts>()
  readonly #keptBytes: number
  #bytes = 0

  constructor(keptBytes = KEPT_BYTES) {
    this.#keptBytes = keptBytes
  }

  /** Whether the command was sent as often as it may be. Never where nothing was to be signed. */
  isSpent({ jobId, index }: Claim, signed: SignedStarts | undefined): boolean {
    const count = this.#jobs.get(jobId)?.ofHosts[index] ?? 0
    return signed !== undefined && count >= signed.sends
  }

  /** Counts that the command is about to be sent. False, and counts nothing, when it must not. */
  take(claim: Claim, signed: SignedStarts | undefined): boolean {
    if (signed === undefined) return true
    if (this.isSpent(claim, signed)) return false
    const { jobId, index } = claim
    const counts = this.#jobs.get(jobId) ?? this.#add(jobId, signed.total)
    counts.untilMs = Math.max(counts.untilMs, signed.untilMs)
    counts.ofHosts[index] = (counts.ofHosts[index] ?? 0) + 1
    return true
  }

  /** Takes a start back, because the command was not sent after all. */
  giveBack({ jobId, index }: Claim): void {
    const ofHosts = this.#jobs.get(jobId)?.ofHosts
    const count = ofHosts?.[index]
    if (ofHosts !== undefined && count !== undefined && count > 0) ofHosts[index] = count - 1
  }

  #add(jobId: string, total: number): Counts {
    const counts = { ofHosts: new Uint8Array(total), untilMs: 0 }
    this.#bytes += total + JOB_BYTES
    this.#forget()
    this.#jobs.set(jobId, counts)
    return counts
  }

  /** From the first one on: those whose time is over, and all for which there is no room. */
  #forget(): void {
    for (const [jobId, { ofHosts, untilMs }] of this.#jobs) {
      if (this.#bytes <= this.#keptBytes && untilMs >= Date.now()) return
      this.#jobs.delete(jobId)
      this.#bytes -= ofHosts.length + JOB_BYTES
    }
  }
}

/**
 * The end of a run whose command this worker has sent before, as often as it may: Redis has forgotten what became of
 * that, or was made to.
 */
export function endOfSpent(): RunEnd {
  const detail = 'this worker has sent the command to the host before, as often as was signed'
  return mayHaveRun('signature_invalid', detail)
}
