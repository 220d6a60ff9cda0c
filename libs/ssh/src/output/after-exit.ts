/**
 * How long the output of a command is waited for after its exit. It may still be under way, through a full or a bad
 * line; or a process that the command left running holds the streams, and may never let go.
 *
 * What comes fast is taken for output under way, up to the most that can be. What comes slowly, or not at all, is so
 * only while the line is behind: the host answers behind everything it has sent, so an answer that takes long tells.
 */
import { withinMs } from '../verdict/within-ms.ts'
import type { Drain } from './drain.ts'

/** How long anything is waited for. */
const AFTER_EXIT_MS = 2_000
/** Output that keeps coming at least this fast may be the command's own, still on its way through a full line. */
const FLOW_BYTES_PER_STEP = 2 * 1024
/** The most that can be on its way: a channel's window in ssh2, 2 MiB, and as much again for the host's buffers. */
const UNDER_WAY_BYTES = 4 * 1024 * 1024
const STEP_MS = 100
/** The end of all waiting. So long the slowest flow takes for all that can be on its way: this cuts off none. */
const END_MS = (UNDER_WAY_BYTES / FLOW_BYTES_PER_STEP) * STEP_MS
/** A line is behind when the host's answer takes longer. */
const ANSWER_MS = 1_000
/** How long a line that is behind may bring nothing at all. TCP tries again after 1, 3 and 7 s. */
const STALLED_MS = 10_000

/** What else is known of the line, and who no longer waits. */
export type WaitOptions = {
  /** Asks the host; resolves with its answer. */
  readonly ask: () => Promise<void>
  /** An abort during the wait ends it. */
  readonly signal: AbortSignal
}

/**
 * Waits for the streams of a command that has exited to end, and returns whether they did. Time in which the host waits
 * for our receiver does not count.
 */
export async function drainAfterExit(drain: Drain, { ask, signal }: WaitOptions): Promise<boolean> {
  let isDrained = false
  const ended = drain.ended.then(() => {
    isDrained = true
  })
  const flow = new Flow(drain)
  const line = new Line(ask)
  const wasAborted = signal.aborted
  let waitedMs = 0
  while (waitedMs < END_MS) {
    await withinMs(STEP_MS, ended)
    if (isDrained) return true
    if (drain.isPaused()) continue
    waitedMs += STEP_MS
    flow.step()
    if (flow.bytes > UNDER_WAY_BYTES) return false
    if (waitedMs < AFTER_EXIT_MS) continue
    if (signal.aborted && !wasAborted) return false
    if (flow.isFast()) continue
    if (line.keepsUp() || flow.silentMs >= STALLED_MS) return false
  }
  return false
}

/** What has come since the exit. */
class Flow {
  readonly #drain: Drain
  readonly #bytesAtExit: number
  #average = 0
  bytes = 0
  silentMs = 0

  constructor(drain: Drain) {
    this.#drain = drain
    this.#bytesAtExit = drain.bytes()
  }

  step(): void {
    const came = this.#drain.bytes() - this.#bytesAtExit - this.bytes
    this.bytes += came
    this.silentMs = came === 0 ? this.silentMs + STEP_MS : 0
    // It fades: a full line may be silent for several steps, until a packet is complete.
    this.#average = this.#average * 0.9 + came
  }

  isFast(): boolean {
    return this.#average >= FLOW_BYTES_PER_STEP * 10
  }
}

/** How long the host's answers take, one question at a time. */
class Line {
  readonly #ask: () => Promise<void>
  #isAsked = false
  #tookMs: number | undefined

  constructor(ask: () => Promise<void>) {
    this.#ask = ask
  }

  /** Whether the last answer came soon. After one that did not, asks again: more may have been behind it. */
  keepsUp(): boolean {
    if (this.#tookMs !== undefined && this.#tookMs <= ANSWER_MS) return true
    if (this.#isAsked && this.#tookMs === undefined) return false
    this.#isAsked = true
    this.#tookMs = undefined
    const askedMs = performance.now()
    void this.#ask().then(() => {
      this.#tookMs = performance.now() - askedMs
    })
    return false
  }
}
