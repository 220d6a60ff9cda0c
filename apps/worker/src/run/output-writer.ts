/**
 * Writes the output of one run into the ledger while the command runs. It joins small pieces, keeps their order, and
 * slows down a command that prints faster than Redis takes it. If Redis is full, the wait is limited: then the rest of
 * the head is dropped, and the end of the run counts it as omitted. Once a stream is longer than its head, its present
 * end is written every second for followers; the last tail is stored with the end of the run.
 *
 * libs/ssh decides what is head and what is tail.
 */
import type { OutputStream } from '@muster/contract'
import { appendOutput, type Claim, type Ledger } from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import type { StreamTail } from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import { patiently, type RoomWait } from '../hold/patience.ts'

/** A piece this large is written at once. */
const FULL_BYTES = 32 * 1024
/** A smaller piece waits this long for more, so that followers see it soon. */
const GATHER_MS = 50
/** How often the end of a stream that is longer than its head is written. */
const LIVE_TAIL_EVERY_MS = 1_000

/** What writing output needs. */
export type WriterDeps = {
  readonly ledger: Ledger
  /** Aborts when this worker closes: nothing is offered to Redis again after that. */
  readonly closing: AbortSignal
  readonly log: Logger
}

/** Opens the writer of a run. `markAgain` as in `Dispatched`; undefined for a run that another worker started. */
export function openWriter(
  { ledger, closing, log }: WriterDeps,
  { claim, waitForRoom, onFenced }: HeldRun,
  { outputLimitBytes, markAgain }: { outputLimitBytes: number; markAgain: (() => Promise<unknown>) | undefined },
): OutputWriter {
  return new OutputWriter({
    ledger,
    claim,
    headBytes: Math.floor(outputLimitBytes / 2),
    closing,
    waitForRoom,
    markAgain: markAgain ?? (async () => {}),
    onFenced,
    onOmitted: (why) => log.warn({ why }, 'Redis cannot take the output of a run; the run goes on without it'),
    onError: (error) => log.warn({ err: error }, 'output could not be stored in Redis; trying again'),
  })
}

type OutputWriterOptions = {
  readonly ledger: Ledger
  readonly claim: Claim
  /** The length of a full head. */
  readonly headBytes: number
  readonly waitForRoom: RoomWait
  /** Called when Redis has forgotten that the command was sent; the output is then offered again. */
  readonly markAgain: () => Promise<unknown>
  /** Called once for each stream whose remaining head is not stored. */
  readonly onOmitted: (why: 'full' | 'gap' | 'unmarked') => void
  /** Called when this worker turns out to have lost the claim. */
  readonly onFenced: () => void
  /** Called each time Redis fails to take something, before it is offered again. */
  readonly onError: (error: unknown) => void
  /** Ends the repeating. */
  readonly closing: AbortSignal
}

/** The output of one run on its way into the ledger. */
class OutputWriter {
  readonly #options: OutputWriterOptions
  readonly #waiting: Record<OutputStream, Buffer[]> = { stdout: [], stderr: [] }
  readonly #offset: Record<OutputStream, number> = { stdout: 0, stderr: 0 }
  readonly #tailOffset: Record<OutputStream, number> = { stdout: 0, stderr: 0 }
  /** Whether the ledger takes no more of a head, because earlier bytes are missing there. */
  readonly #isHeadOver: Record<OutputStream, boolean> = { stdout: false, stderr: false }
  #waitingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #tailTimer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(options: OutputWriterOptions) {
    this.#options = options
  }

  /** Takes bytes of the head. If it returns a promise, wait for that before handing over more. */
  write(stream: OutputStream, bytes: Buffer): Promise<void> | void {
    this.#waiting[stream].push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes >= FULL_BYTES) return this.flush()
    this.#timer ??= setTimeout(() => {
      // The failure stays in the chain of writes, so the next write or flush rejects with it.
      this.flush().catch(() => {})
    }, GATHER_MS)
  }

  /** Writes the ends of the streams every second. `tailOf` is undefined while a stream is no longer than its head. */
  followTails(tailOf: (stream: OutputStream) => StreamTail | undefined): void {
    this.#tailTimer = setInterval(() => {
      for (const stream of ['stdout', 'stderr'] as const) this.#writeTail(stream, tailOf(stream))
    }, LIVE_TAIL_EVERY_MS)
  }

  /** Resolves when the ledger has stored or refused all bytes taken so far. Rejects if this worker closes first. */
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
      this.#writing = this.#writing.then(() => this.#append({ stream, side: 'head', offset, bytes }))
    }
    return this.#writing
  }

  /** Stops writing tails. Always call this at the end. */
  stop(): void {
    clearInterval(this.#tailTimer)
  }

  #writeTail(stream: OutputStream, tail: StreamTail | undefined): void {
    if (tail === undefined || tail.offset + tail.bytes.length === this.#tailOffset[stream]) return
    // The ledger keeps a tail only after a whole head, and the last bytes of this head may not have been written yet.
    this.flush().catch(() => {})
    if (this.#offset[stream] < this.#options.headBytes) return
    this.#tailOffset[stream] = tail.offset + tail.bytes.length
    this.#writing = this.#writing.then(() => this.#append({ stream, side: 'tail', ...tail }))
    this.#writing.catch(() => {})
  }

  async #append(part: Parameters<typeof appendOutput>[2]): Promise<void> {
    const { ledger, claim, closing, onError, onFenced, onOmitted, waitForRoom, markAgain } = this.#options
    const { stream, side } = part
    if (side === 'head' && this.#isHeadOver[stream]) return
    const append = () => patiently(() => appendOutput(ledger, claim, part), { signal: closing, onError })
    let word = await append()
    if (word === 'unmarked') {
      await patiently(markAgain, { signal: closing, onError })
      word = await append()
    }
    // There is no waiting for a live tail: the next one replaces it.
    while (word === 'full' && side === 'head' && (await waitForRoom())) word = await append()
    if (word === 'fenced') onFenced()
    if (side === 'tail' || word === 'ok' || word === 'fenced') return
    this.#isHeadOver[stream] = true
    onOmitted(word)
  }
}
