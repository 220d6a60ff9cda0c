/**
 * Writes the output of one run into the ledger while the command runs: small pieces are gathered, order is kept, and
 * a command that prints faster than Redis takes is made to wait. Where Redis is full that wait has a limit: then the rest
 * of the head is dropped, and the end of the run tells it as omitted. Beyond the head, the end of a stream as it is now is
 * written every second, for those who follow; the tail that stays is stored with the end of the run.
 *
 * Knows no limit; libs/ssh decides what is head and what is tail.
 */
import type { OutputStream } from '@muster/contract'
import { appendOutput, type Claim, type Ledger } from '@muster/ledger'
import type { StreamTail } from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import { patiently, type RoomWait } from '../hold/patience.ts'
import type { RunSpec } from '../hold/run-specs.ts'
import type { TicketDeps } from '../run-ticket.ts'

/** A piece this large is written at once. */
const FULL_BYTES = 32 * 1024
/** A smaller one waits so long for more, so that a reader who follows sees it soon. */
const GATHER_MS = 50
/** Between two looks at the end of a stream that is longer than its head. */
const LIVE_TAIL_EVERY_MS = 1_000

/** The writer of a run. `markAgain` as of Dispatched; absent for a run that another worker started. */
export function openWriter(
  deps: TicketDeps,
  run: HeldRun,
  spec: RunSpec,
  markAgain: () => Promise<unknown> = async () => {},
): OutputWriter {
  return new OutputWriter({
    ledger: deps.ledger,
    claim: run.claim,
    headBytes: Math.floor(spec.output_limit_bytes / 2),
    closing: deps.closing,
    waitForRoom: run.waitForRoom,
    markAgain,
    onFenced: run.onFenced,
    onOmitted: (why) => deps.log.warn({ why }, 'Redis cannot take the output of a run; it goes on without'),
    onError: (error) => deps.log.warn({ err: error }, 'Redis did not take output; trying again'),
  })
}

/** What writing needs. */
type OutputWriterOptions = {
  readonly ledger: Ledger
  readonly claim: Claim
  /** How long the head of a stream is, when it is full. */
  readonly headBytes: number
  readonly waitForRoom: RoomWait
  /** Called when Redis has forgotten that the command was sent; the output is then offered again. */
  readonly markAgain: () => Promise<unknown>
  /** Told once for each stream of which no more is stored. */
  readonly onOmitted: (why: 'full' | 'gap' | 'unmarked') => void
  /** Called when the claim is found to be someone else's. */
  readonly onFenced: () => void
  /** Told each time Redis did not take something; it is offered again. */
  readonly onError: (error: unknown) => void
  /** Ends the patience. */
  readonly closing: AbortSignal
}

/** The output of one run on its way into the ledger. */
class OutputWriter {
  readonly #options: OutputWriterOptions
  readonly #waiting: Record<OutputStream, Buffer[]> = { stdout: [], stderr: [] }
  readonly #offset: Record<OutputStream, number> = { stdout: 0, stderr: 0 }
  readonly #tailOffset: Record<OutputStream, number> = { stdout: 0, stderr: 0 }
  /** Whether no more of a head is stored: bytes before it are missing in the ledger, so it has no place there. */
  readonly #isHeadOver: Record<OutputStream, boolean> = { stdout: false, stderr: false }
  #waitingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #tailTimer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(options: OutputWriterOptions) {
    this.#options = options
  }

  /** Takes bytes of the head; the promise, when there is one, is the signal to wait before handing over more. */
  write(stream: OutputStream, bytes: Buffer): Promise<void> | void {
    this.#waiting[stream].push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes >= FULL_BYTES) return this.flush()
    this.#timer ??= setTimeout(() => {
      // A failure stays in the chain, where the next write or flush meets it.
      this.flush().catch(() => {})
    }, GATHER_MS)
  }

  /** Looks at the ends of the streams every second; undefined while a stream is no longer than its head. */
  followTails(tailOf: (stream: OutputStream) => StreamTail | undefined): void {
    this.#tailTimer = setInterval(() => {
      for (const stream of ['stdout', 'stderr'] as const) this.#writeTail(stream, tailOf(stream))
    }, LIVE_TAIL_EVERY_MS)
  }

  /** Resolves when all bytes taken so far are in the ledger. Rejects when it was closed before. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waitingBytes = 0
    for (const stream of ['stdout', 'stderr'] as const) {
      const bytes = Buffer.concat(this.#waiting[stream])
      if (bytes.length === 0) continue
      this.#waiting[stream] = []
      const offset = this.#offset[stream]
      this.#offset[stream] += bytes.length
      this.#writing = this.#writing.then(() => this.#append({ stream, place: 'head', offset, bytes }))
    }
    return this.#writing
  }

  /** Stops looking at the tails. To be called at the end, whatever happened. */
  stop(): void {
    clearInterval(this.#tailTimer)
  }

  #writeTail(stream: OutputStream, tail: StreamTail | undefined): void {
    if (tail === undefined || tail.offset + tail.bytes.length === this.#tailOffset[stream]) return
    // In the ledger a tail stands behind a head that is whole; the end of this one may still be on its way to here.
    this.flush().catch(() => {})
    if (this.#offset[stream] < this.#options.headBytes) return
    this.#tailOffset[stream] = tail.offset + tail.bytes.length
    this.#writing = this.#writing.then(() => this.#append({ stream, place: 'tail', ...tail }))
    this.#writing.catch(() => {})
  }

  async #append(part: Parameters<typeof appendOutput>[2]): Promise<void> {
    const { ledger, claim, closing, onError, onFenced, onOmitted, waitForRoom, markAgain } = this.#options
    const { stream, place } = part
    if (place === 'head' && this.#isHeadOver[stream]) return
    const append = () => patiently(() => appendOutput(ledger, claim, part), { signal: closing, onError })
    let word = await append()
    if (word === 'unmarked') {
      await patiently(markAgain, { signal: closing, onError })
      word = await append()
    }
    // Nobody waits for a tail of the moment: the next one stands in its place.
    while (word === 'full' && place === 'head' && (await waitForRoom())) word = await append()
    if (word === 'fenced') onFenced()
    if (place === 'tail' || word === 'ok' || word === 'fenced') return
    this.#isHeadOver[stream] = true
    onOmitted(word)
  }
}
