/**
 * Masks secrets in streams of bytes, however they are cut into pieces. A masked stream has as many bytes as before, so
 * that offsets and counts stay true: each byte of a secret becomes "*".
 *
 * Only bytes that may be the beginning of a secret are held back until the next piece.
 */
import { formsToMask } from './secret-scrubber.ts'

const STAR = 0x2a

/** Masks one stream. `pass` takes its next bytes and returns those that can be shown; `rest` returns what is left. */
type StreamMask = { pass(bytes: Buffer): Buffer; rest(): Buffer }

/** Masks for all streams that may hold these secrets. */
export type StreamMasks = {
  stream(): StreamMask
  /** Whether anything was masked in one of them. */
  hasMasked(): boolean
}

/** Prepares masks for these secrets, in the same encodings that the log masks; they are made as often as needed. */
export function prepareMasks(secrets: Iterable<string>): () => StreamMasks {
  const patterns = formsToMask(secrets).map((form) => Buffer.from(form))
  return () => {
    let hasMasked = false
    const onMask = () => {
      hasMasked = true
    }
    return { stream: () => new Masked(patterns, onMask), hasMasked: () => hasMasked }
  }
}

class Masked implements StreamMask {
  readonly #patterns: readonly Buffer[]
  readonly #onMask: () => void
  /** Bytes held back as they came, and which of them are part of a secret already. */
  #held: Buffer = Buffer.alloc(0)
  #isSecret: Buffer = Buffer.alloc(0)

  constructor(patterns: readonly Buffer[], onMask: () => void) {
    this.#patterns = patterns
    this.#onMask = onMask
  }

  pass(bytes: Buffer): Buffer {
    const data = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    const isSecret = Buffer.concat([this.#isSecret, Buffer.alloc(bytes.length)])
    for (const pattern of this.#patterns) this.#mark(data, pattern, isSecret)
    const safe = data.length - this.#doubtful(data)
    this.#held = data.subarray(safe)
    this.#isSecret = isSecret.subarray(safe)
    return masked(data.subarray(0, safe), isSecret)
  }

  rest(): Buffer {
    const rest = masked(this.#held, this.#isSecret)
    this.#held = Buffer.alloc(0)
    this.#isSecret = Buffer.alloc(0)
    return rest
  }

  #mark(data: Buffer, pattern: Buffer, isSecret: Buffer): void {
    for (let at = data.indexOf(pattern); at !== -1; at = data.indexOf(pattern, at + 1)) {
      isSecret.fill(1, at, at + pattern.length)
      this.#onMask()
    }
  }

  /** How many of the last bytes are the beginning of a secret. */
  #doubtful(data: Buffer): number {
    let most = 0
    for (const pattern of this.#patterns) {
      const [first = 0] = pattern
      let at = data.indexOf(first, Math.max(0, data.length - pattern.length + 1))
      while (at !== -1 && data.length - at > most) {
        const count = data.length - at
        if (data.compare(pattern, 0, count, at, data.length) === 0) most = count
        at = data.indexOf(first, at + 1)
      }
    }
    return most
  }
}

/** The bytes with secret ones replaced; a copy only if there are any. */
function masked(bytes: Buffer, isSecret: Buffer): Buffer {
  if (isSecret.subarray(0, bytes.length).indexOf(1) === -1) return bytes
  return Buffer.from(bytes.map((byte, i) => (isSecret[i] === 1 ? STAR : byte)))
}
