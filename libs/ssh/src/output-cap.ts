/**
 * What is kept of one output stream: the first half of the limit, handed on as it comes, and the last bytes that fit
 * in the other half, held back in a ring until the end. Below the limit the two together are everything.
 *
 * Counts and hashes every byte, kept or not. Does not read streams (drain.ts).
 */
import { createHash } from 'node:crypto'

/** One stream at its end. */
export type StreamEnd = {
  /** Bytes the command wrote. */
  readonly bytes: number
  /** Bytes between the head that was handed on and `tail` that were not kept; 0 when nothing is missing. */
  readonly omittedBytes: number
  /** What follows the head: all the rest when `omittedBytes` is 0, else the last bytes. Never more than half the limit. */
  readonly tail: Buffer
  /** SHA-256 of every byte the command wrote, in hexadecimal. */
  readonly sha256: string
}

/** Small at first: most commands write little, and two hundred may be in flight. */
const FIRST_RING_BYTES = 4 * 1024

/** Counts, hashes and cuts one stream. */
export class OutputCap {
  readonly #hash = createHash('sha256')
  readonly #headBytes: number
  readonly #ringLimitBytes: number
  #total = 0
  #ring: Buffer = Buffer.alloc(0)
  /** Where the oldest byte of the ring is. */
  #start = 0
  #held = 0

  /** @param limitBytes how much to keep of the stream, head and tail together */
  constructor(limitBytes: number) {
    this.#headBytes = Math.floor(limitBytes / 2)
    this.#ringLimitBytes = limitBytes - this.#headBytes
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.#total
  }

  /** Takes the next bytes of the stream, and gives those that belong to the head: to be handed on now. */
  push(bytes: Buffer): Buffer {
    this.#hash.update(bytes)
    const room = Math.max(0, this.#headBytes - this.#total)
    this.#total += bytes.length
    this.#hold(bytes.subarray(room))
    return bytes.subarray(0, room)
  }

  /** The stream as it ended. To be called once. */
  end(): StreamEnd {
    const headBytes = Math.min(this.#total, this.#headBytes)
    return {
      bytes: this.#total,
      omittedBytes: this.#total - headBytes - this.#held,
      tail: this.#unrolled(this.#held),
      sha256: this.#hash.digest('hex'),
    }
  }

  #hold(bytes: Buffer): void {
    const kept = bytes.subarray(Math.max(0, bytes.length - this.#ringLimitBytes))
    if (kept.length === 0) return
    this.#growFor(this.#held + kept.length)
    const at = (this.#start + this.#held) % this.#ring.length
    const first = kept.copy(this.#ring, at)
    kept.copy(this.#ring, 0, first)
    const overwritten = Math.max(0, this.#held + kept.length - this.#ring.length)
    this.#held += kept.length - overwritten
    this.#start = (this.#start + overwritten) % this.#ring.length
  }

  /** Doubles the ring until so many bytes fit or its limit is reached. */
  #growFor(wantedBytes: number): void {
    if (wantedBytes <= this.#ring.length || this.#ring.length === this.#ringLimitBytes) return
    let size = Math.max(this.#ring.length, FIRST_RING_BYTES)
    while (size < wantedBytes) size *= 2
    this.#ring = this.#unrolled(Math.min(size, this.#ringLimitBytes))
    this.#start = 0
  }

  /** The held bytes in order, at the beginning of a new buffer of this size. */
  #unrolled(sizeBytes: number): Buffer {
    const unrolled = Buffer.alloc(sizeBytes)
    const first = this.#ring.copy(unrolled, 0, this.#start, Math.min(this.#start + this.#held, this.#ring.length))
    this.#ring.copy(unrolled, first, 0, this.#held - first)
    return unrolled
  }
}
