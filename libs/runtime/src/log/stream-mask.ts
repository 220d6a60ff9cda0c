/**
 * Masks secrets in streams of bytes, however they are cut into pieces. A masked stream has as many bytes as before, so
 * that offsets and counts stay true: each byte of a secret becomes "*".
 *
 * Only bytes that may be the beginning of a secret are held back until the next piece.
 */
import { PatternAutomaton } from './pattern-automaton.ts'
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
  const patterns = new PatternAutomaton(formsToMask(secrets).map((form) => Buffer.from(form)))
  return () => {
    let hasMasked = false
    const onMask = () => {
      hasMasked = true
    }
    return { stream: () => new Masked(patterns, onMask), hasMasked: () => hasMasked }
  }
}

class Masked implements StreamMask {
  readonly #patterns: PatternAutomaton
  readonly #onMask: () => void
  #state = 0
  /** Bytes held back as they came, and for each the length of the longest secret that ends there. */
  #held: Buffer = Buffer.alloc(0)
  #ended = new Int32Array()

  constructor(patterns: PatternAutomaton, onMask: () => void) {
    this.#patterns = patterns
    this.#onMask = onMask
  }

  pass(bytes: Buffer): Buffer {
    const data = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    const ended = new Int32Array(data.length)
    ended.set(this.#ended)
    this.#state = this.#patterns.read(this.#state, bytes, ended.subarray(this.#held.length))
    const safe = data.length - this.#patterns.begunAt(this.#state)
    this.#held = data.subarray(safe)
    this.#ended = ended.subarray(safe)
    return this.#masked(data, ended).subarray(0, safe)
  }

  rest(): Buffer {
    const rest = this.#masked(this.#held, this.#ended)
    this.#held = Buffer.alloc(0)
    this.#ended = new Int32Array()
    return rest
  }

  /** The bytes with secret ones replaced; a copy only if there are any. */
  #masked(bytes: Buffer, ended: Int32Array): Buffer {
    let masked = bytes
    let left = 0
    for (let at = bytes.length - 1; at >= 0; at -= 1) {
      left = Math.max(left - 1, ended[at] ?? 0)
      if (left <= 0) continue
      if (masked === bytes) masked = Buffer.from(bytes)
      masked[at] = STAR
    }
    if (masked !== bytes) this.#onMask()
    return masked
  }
}
