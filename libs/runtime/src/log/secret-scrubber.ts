/**
 * Masks known secret values in text that is about to leave the process.
 *
 * It knows values, not field names: redaction by path misses secrets inside command strings and error messages. It
 * cannot mask a value that it was never given.
 */

import { KNOWN_LENGTH_MIN, KnownTexts } from './known-texts.ts'

const MASK = '[secret]'

/**
 * A shorter value is masked only where it is the whole text: masking every "ab" would ruin the text and, by the holes
 * it leaves, give the secret away.
 */
const EMBEDDED_LENGTH_MIN = KNOWN_LENGTH_MIN

/** A shorter base64 core could stand for too many other values. */
const BASE64_CORE_MIN = 6

/** Holds secret values and masks them, as given and in their usual encodings. */
export class SecretScrubber {
  /** The values, and how often each was added. */
  readonly #whole = new Map<string, number>()
  /** Every form of every value. */
  readonly #forms = new KnownTexts()

  /** Starts with these values; empty ones are ignored. */
  constructor(secrets: Iterable<string> = []) {
    this.add(...secrets)
  }

  /** Masks these values from now on. For a URL with a password, the password alone is masked as well. */
  add(...secrets: readonly string[]): void {
    for (const value of secrets.flatMap(valuesIn)) {
      const count = this.#whole.get(value) ?? 0
      this.#whole.set(value, count + 1)
      if (count === 0) for (const form of formsToMask([value])) this.#forms.add(form)
    }
  }

  /** Forgets values that were added; one that was added more often stays. */
  remove(...secrets: readonly string[]): void {
    for (const value of secrets.flatMap(valuesIn)) {
      const count = this.#whole.get(value)
      if (count === undefined) continue
      if (count > 1) {
        this.#whole.set(value, count - 1)
        continue
      }
      this.#whole.delete(value)
      for (const form of formsToMask([value])) this.#forms.remove(form)
    }
  }

  /** The text with every known secret replaced by `[secret]`. */
  scrub(text: string): string {
    if (this.#whole.has(text)) return MASK
    return this.#forms.replaceIn(text, MASK)
  }

  /**
   * One line of JSON with every secret masked in its strings, keys and numbers; still valid JSON.
   * Text that is not JSON is masked as plain text.
   */
  scrubJson(line: string): string {
    if (this.#whole.size === 0) return line
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      // Not JSON: masking it as text is the safe reading.
      return this.scrub(line)
    }
    return JSON.stringify(this.#scrubValue(value))
  }

  #scrubValue(value: unknown): unknown {
    if (typeof value === 'string') return this.scrub(value)
    if (typeof value === 'number') return this.#whole.has(String(value)) ? MASK : value
    if (Array.isArray(value)) return value.map((element) => this.#scrubValue(element))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, held]) => [this.scrub(key), this.#scrubValue(held)]))
  }
}

/** The texts to look for, the longest first: each secret that is long enough, in its usual encodings. */
export function formsToMask(secrets: Iterable<string>): string[] {
  const long = [...secrets].filter((value) => value.length >= EMBEDDED_LENGTH_MIN)
  return [...new Set(long.flatMap(formsOf))].sort((a, b) => b.length - a.length)
}

/** What is masked for a secret: itself and, if it is a URL, the password in it. */
function valuesIn(secret: string): string[] {
  return [passwordOf(secret), secret].filter((value) => value !== undefined).filter((value) => value !== '')
}

/** The value as it appears raw, URL-encoded, inside quoted JSON, inside a single-quoted shell word, and in base64. */
function formsOf(secret: string): string[] {
  const encoded = encodeURIComponent(Buffer.from(secret).toString()) // Lone surrogates, which it refuses, are replaced.
  return [
    secret,
    encoded,
    encoded.replaceAll('%20', '+'),
    encoded.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    JSON.stringify(secret).slice(1, -1),
    secret.replaceAll("'", "'\\''"),
    ...base64Cores(secret),
  ]
}

/**
 * The base64 digits that depend on the secret alone, for each of its three alignments inside a longer text
 * (as in `Basic base64(user:password)`), in both alphabets.
 */
function base64Cores(secret: string): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(secret)])
    const digits = bytes.toString('base64').replaceAll('=', '')
    // Digits that mix in bits of a neighbouring byte are not part of the core.
    const core = digits.slice(shift === 0 ? 0 : shift + 1, bytes.length % 3 === 0 ? undefined : -1)
    if (core.length < BASE64_CORE_MIN) return []
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')]
  })
}

/** The password inside a URL; `undefined` when the text is no URL or has none. */
function passwordOf(text: string): string | undefined {
  if (!text.includes('://') || !URL.canParse(text)) return undefined
  const { password } = new URL(text)
  try {
    return password === '' ? undefined : decodeURIComponent(password)
  } catch {
    // A stray "%": the password was never encoded.
    return password
  }
}
