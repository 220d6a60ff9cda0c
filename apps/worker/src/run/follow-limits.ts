/**
 * How long a worker follows a durable run: until when it tries to reach the host, when it lets go of the run, and when
 * it orders the host to stop the command.
 */
import type { HeldRun } from '../hold/held-runs.ts'

/** How long to wait for the result after the exec timeout: the host may be under repair. */
const RESULT_LIMIT_MS = 10 * 60_000
/** How long to wait after a stop: somebody is waiting for the answer. */
const STOP_LIMIT_MS = 60_000

/** The limits of following one run. Call `release` at the end. */
export class FollowLimits {
  readonly #run: HeldRun
  readonly #detach = new AbortController()
  readonly #orders = new AbortController()
  readonly #unraise: () => void
  /** By `performance.now()`. */
  #giveUpMs: number
  #execTimeoutMs: number

  /** @param startedAgoMs how long ago the command was sent; the exec timeout counts from then */
  constructor(run: HeldRun, execTimeoutMs: number, startedAgoMs: number) {
    this.#run = run
    this.#execTimeoutMs = execTimeoutMs
    this.#giveUpMs = performance.now() - startedAgoMs + execTimeoutMs + RESULT_LIMIT_MS
    run.signal.addEventListener('abort', this.#onStop)
    if (run.signal.aborted) this.#onStop()
    this.#unraise = run.onExecTimeout((raisedMs) => this.#raise(raisedMs))
  }

  /** Aborts when this worker lets go of the run. Not for a cancel: carrying that out takes the host. */
  get detached(): AbortSignal {
    return this.#detach.signal
  }

  /** Aborts with the reason "detach", or with the cause for which the command must be killed. */
  get orders(): AbortSignal {
    return this.#orders.signal
  }

  /** Whether the host has been tried for long enough. */
  isOver(): boolean {
    return performance.now() > this.#giveUpMs
  }

  /** Gives the host up: only a person can fix what went wrong, and more failed log-ins might lock the account. */
  giveUp(): void {
    this.#giveUpMs = 0
  }

  release(): void {
    this.#run.signal.removeEventListener('abort', this.#onStop)
    this.#unraise()
  }

  readonly #onStop = () => {
    const cause = this.#run.stoppedBy()
    const isLetGo = cause === 'shutdown' || cause === 'fenced'
    this.#orders.abort(isLetGo ? 'detach' : cause)
    if (isLetGo) this.#detach.abort('detach')
    else this.#giveUpMs = Math.min(this.#giveUpMs, performance.now() + STOP_LIMIT_MS)
  }

  #raise(execTimeoutMs: number): void {
    if (execTimeoutMs <= this.#execTimeoutMs || this.#run.signal.aborted) return
    this.#giveUpMs += execTimeoutMs - this.#execTimeoutMs
    this.#execTimeoutMs = execTimeoutMs
  }
}
