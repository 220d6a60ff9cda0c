/**
 * Writes the output of one run into the ledger while the command runs: small pieces are gathered, order is kept, and
 * a command that prints faster than Redis takes is made to wait.
 *
 * Knows no limit; libs/ssh decides what is handed over.
 */
import { appendOutput, type Claim, type Ledger } from '@muster/ledger'

/** A piece this large is written at once. */
const FULL_BYTES = 32 * 1024
/** A smaller one waits so long for more, so that a reader who follows sees it soon. */
const GATHER_MS = 50

type Stream = 'stdout' | 'stderr'

/** The output of one run on its way into the ledger. */
export class OutputWriter {
  readonly #ledger: Ledger
  readonly #claim: Claim
  readonly #onFenced: () => void
  readonly #waiting: Record<Stream, Buffer[]> = { stdout: [], stderr: [] }
  readonly #offset: Record<Stream, number> = { stdout: 0, stderr: 0 }
  #waitingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  /** `onFenced` is called when the claim is found to be someone else's. */
  constructor(ledger: Ledger, claim: Claim, onFenced: () => void) {
    this.#ledger = ledger
    this.#claim = claim
    this.#onFenced = onFenced
  }

  /** Takes bytes; the promise, when there is one, is the signal to wait before handing over more. */
  write(stream: Stream, bytes: Buffer): Promise<void> | void {
    this.#waiting[stream].push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes >= FULL_BYTES) return this.flush()
    this.#timer ??= setTimeout(() => {
      // A failure stays in the chain, where the next write or flush meets it.
      this.flush().catch(() => {})
    }, GATHER_MS)
  }

  /** Resolves when all bytes taken so far are in the ledger. Rejects when the ledger failed. */
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
      this.#writing = this.#writing.then(() => this.#append(stream, offset, bytes))
    }
    return this.#writing
  }

  async #append(stream: Stream, offset: number, bytes: Buffer): Promise<void> {
    const isOurs = await appendOutput(this.#ledger, this.#claim, stream, offset, bytes)
    if (!isOurs) this.#onFenced()
  }
}
