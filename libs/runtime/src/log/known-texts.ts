/**
 * Finds any of many texts in another one. The cost per character hardly grows with their number: one job may bring a
 * thousand lines of secrets, and every line of the log is searched for all of them.
 */

/** Shortest text that can be looked for. */
export const KNOWN_LENGTH_MIN = 4

/** Texts are found by so many of their first characters; a shorter one by all of them. */
const KEY_CHARS = 16
const BUCKETS = 2 ** 16

/** Texts to look for, each of at least KNOWN_LENGTH_MIN characters. */
export class KnownTexts {
  /** How often each was added. */
  readonly #counts = new Map<string, number>()
  /** Texts by their key, the longest first. */
  readonly #byKey = new Map<string, string[]>()
  /** How many keys have each length, by the length. */
  readonly #keysOfLength = new Array<number>(KEY_CHARS + 1).fill(0)
  /** How many texts begin with the characters of each bucket; most places in a text are passed over by this alone. */
  readonly #buckets = new Uint32Array(BUCKETS)

  /** Adds a text; one that was added before is counted. */
  add(text: string): void {
    const count = this.#counts.get(text) ?? 0
    this.#counts.set(text, count + 1)
    if (count > 0) return
    this.#count(text, 1)
    const key = text.slice(0, KEY_CHARS)
    const same = this.#byKey.get(key)
    if (same === undefined) {
      this.#byKey.set(key, [text])
      this.#keysOfLength[key.length] = (this.#keysOfLength[key.length] ?? 0) + 1
      return
    }
    const at = same.findIndex((other) => other.length < text.length)
    same.splice(at === -1 ? same.length : at, 0, text)
  }

  /** Removes a text that was added as often as this. */
  remove(text: string): void {
    const count = this.#counts.get(text)
    if (count === undefined) return
    if (count > 1) {
      this.#counts.set(text, count - 1)
      return
    }
    this.#counts.delete(text)
    this.#count(text, -1)
    const key = text.slice(0, KEY_CHARS)
    const others = this.#byKey.get(key)?.filter((other) => other !== text) ?? []
    if (others.length > 0) {
      this.#byKey.set(key, others)
      return
    }
    this.#byKey.delete(key)
    this.#keysOfLength[key.length] = (this.#keysOfLength[key.length] ?? 0) - 1
  }

  /** The text with each that is found in it replaced, from left to right; of several at one place, the longest. */
  replaceIn(text: string, replacement: string): string {
    let replaced = ''
    let from = 0
    for (let at = 0; at + KNOWN_LENGTH_MIN <= text.length; ) {
      const length = this.#buckets[bucketAt(text, at)] === 0 ? 0 : this.#lengthAt(text, at)
      if (length > 0) {
        replaced += text.slice(from, at) + replacement
        from = at + length
      }
      at += Math.max(1, length)
    }
    return from === 0 ? text : replaced + text.slice(from)
  }

  /** The length of the longest text that begins here; 0 for none. */
  #lengthAt(text: string, at: number): number {
    for (let length = KEY_CHARS; length >= KNOWN_LENGTH_MIN; length -= 1) {
      if (this.#keysOfLength[length] === 0) continue
      const found = this.#byKey.get(text.slice(at, at + length))?.find((known) => text.startsWith(known, at))
      if (found !== undefined) return found.length
    }
    return 0
  }

  #count(text: string, change: 1 | -1): void {
    const bucket = bucketAt(text, 0)
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + change
  }
}

/** The bucket of the four characters from here on. */
function bucketAt(text: string, at: number): number {
  const [a, b, c, d] = [text.charCodeAt(at), text.charCodeAt(at + 1), text.charCodeAt(at + 2), text.charCodeAt(at + 3)]
  return (((a * 33 + b) * 33 + c) * 33 + d) & (BUCKETS - 1)
}
