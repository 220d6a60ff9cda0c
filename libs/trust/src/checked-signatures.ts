/** Remembers signatures that fitted: the same end is read again and again, and checking one takes long. */
import { hash, type KeyObject } from 'node:crypto'

/** So many are remembered at least, and twice as many at most. Each takes some 70 bytes. */
const KEPT = 100_000
/** 128 bits: nobody finds another text with the digest of one that was signed. */
const DIGEST_CHARS = 22

/** The signatures of one key that have fitted. */
export class CheckedSignatures {
  #key: KeyObject
  #young = new Set<string>()
  #old: ReadonlySet<string> = new Set()

  constructor(key: KeyObject) {
    this.#key = key
  }

  /** Whether these are of this key: its file is read again and again. Takes the object that is compared by next. */
  isOf(key: KeyObject): boolean {
    const isSame = this.#key === key || this.#key.equals(key)
    if (isSame) this.#key = key
    return isSame
  }

  /** Whether this signature of the text fits. `check` is asked for one that is not remembered. */
  fits(text: string, signature: string, check: () => boolean): boolean {
    // A signature has no line end in it that could be taken for one before the text.
    const name = hash('sha256', `${signature}\n${text}`, 'base64url').slice(0, DIGEST_CHARS)
    if (this.#young.has(name)) return true
    if (!this.#old.has(name) && !check()) return false
    this.#young.add(name)
    if (this.#young.size >= KEPT) {
      this.#old = this.#young
      this.#young = new Set()
    }
    return true
  }
}
