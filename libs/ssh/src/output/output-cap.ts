/**
 * What is kept of one output stream: the first half of the limit, handed on as it comes, and the last bytes that fit
 * into the other half, held in a ring until the end. Below the limit the two together are the whole stream.
 *
 * Counts and hashes every byte, kept or not. Secrets are masked before anything else is done with them. Does not read
 * streams (drain.ts).
 */
import { createHash, type Hash } from 'node:crypto'

/** The size of one stream at which output is no longer a result but an accident. */
export const HARD_STOP_BYTES = 64 * 1024 * 1024

/** One stream at its end. */
export type StreamEnd = {
  /** Bytes the command wrote. */
  readonly bytes: number
  /** Bytes between the head that was handed on and `tail` that were not kept; 0 when nothing is missing. */
  readonly omittedBytes: number
  /** What follows the head: all the rest when `omittedBytes` is 0, else the last bytes. At most half the limit. */
  readonly tail: Buffer
  /** SHA-256 of every byte the command wrote, in hexadecimal. */
  readonly sha256: string
}

/** The last bytes of a stream that is still open, and where in the stream they begin. */
export type StreamTail = { readonly offset: number; readonly bytes: Buffer }

/**
 * Masks secrets in a stream. What it returns has as many bytes as it was given, but may lag behind: `pass` holds back
 * what may be the beginning of a secret, and `rest` returns that at the end. libs/runtime has one; any will do here.
 */
export type StreamMask = { pass(bytes: Buffer): Buffer; rest(): Buffer }

/** As much as a person who follows wants to see. It is copied on every request. */
const TAIL_BYTES = 64 * 1024

const EMPTY_SHA256 = createHash('sha256').digest('hex')

/** Small at first: most commands write little, and two hundred may be in flight. */
const FIRST_RING_BYTES = 4 * 1024

/** Counts, hashes and cuts one stream. */
export class OutputCap {
  /** Created with the first byte: most streams are empty. */
  #hash: Hash | undefined
  readonly #headBytes: number
  readonly #ringLimitBytes: number
  readonly #mask: StreamMask | undefined
  /** All bytes that came. */
  #received = 0
  /** Those that are not held back by the mask, and those of them that were handed on. */
  #total = 0
  #handed = 0
  #ring: Buffer = Buffer.alloc(0)
  /** The offset of the oldest byte in the ring. */
  #start = 0
  #held = 0

  /** @param limitBytes how much to keep of the stream, head and tail together */
  constructor(limitBytes: number, mask?: StreamMask) {
    this.#mask = mask
    this.#headBytes = Math.floor(limitBytes / 2)
    this.#ringLimitBytes = limitBytes - this.#headBytes
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.#received
  }

  /** Takes the next bytes of the stream and returns those that belong to the head, to be handed on now. */
  push(given: Buffer): Buffer {
    this.#received += given.length
    const bytes = this.#mask === undefined ? given : this.#mask.pass(given)
    const head = bytes.subarray(0, Math.max(0, this.#headBytes - this.#total))
    this.#handed += head.length
    this.#take(bytes, head.length)
    return head
  }

  /** The last bytes held back, 64 KiB at most. Undefined while everything was handed on. */
  tail(): StreamTail | undefined {
    if (this.#held === 0) return undefined
    const shown = this.#last(Math.min(this.#held, TAIL_BYTES))
    return { offset: this.#total - shown.length, bytes: shown }
  }

  /** The stream as it ended. Call it once. */
  end(): StreamEnd {
    // Nobody takes a head any more: it belongs to the tail, however short the head is.
    if (this.#mask !== undefined) this.#take(this.#mask.rest(), 0)
    return {
      bytes: this.#total,
      omittedBytes: this.#total - this.#handed - this.#held,
      tail: this.#unrolled(this.#held),
      sha256: this.#hash?.digest('hex') ?? EMPTY_SHA256,
    }
  }

  /** Counts and hashes bytes, and holds those behind the first `headBytes`. */
  #take(bytes: Buffer, headBytes: number): void {
    if (bytes.length === 0) return
    this.#hash ??= createHash('sha256')
    this.#hash.update(bytes)
    this.#total += bytes.length
    this.#hold(bytes.subarray(headBytes))
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

  /** Doubles the ring until this many bytes fit or its limit is reached. */
  #growFor(wantedBytes: number): void {
    if (wantedBytes <= this.#ring.length || this.#ring.length === this.#ringLimitBytes) return
    let size = Math.max(this.#ring.length, FIRST_RING_BYTES)
    while (size < wantedBytes) size *= 2
    this.#ring = this.#unrolled(Math.min(size, this.#ringLimitBytes))
    this.#start = 0
  }

  /** The last held bytes, this many, in order. */
  #last(count: number): Buffer {
    const bytes = Buffer.alloc(count)
    const from = (this.#start + this.#held - count) % this.#ring.length
    const first = this.#ring.copy(bytes, 0, from, Math.min(from + count, this.#ring.length))
    this.#ring.copy(bytes, first, 0, count - first)
    return bytes
  }

  /** The held bytes in order, at the beginning of a new buffer of this size. */
  #unrolled(sizeBytes: number): Buffer {
    const unrolled = Buffer.alloc(sizeBytes)
    const first = this.#ring.copy(unrolled, 0, this.#start, Math.min(this.#start + this.#held, this.#ring.length))
    this.#ring.copy(unrolled, first, 0, this.#held - first)
    return unrolled
  }
}
