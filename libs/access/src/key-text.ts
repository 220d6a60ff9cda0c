/**
 * The text of an API key, `mst_<key id>_<secret>`, and its digest.
 *
 * The digest is one SHA-256. A secret of 256 random bits cannot be guessed, so a slow digest would only slow down every
 * request. This stores nothing.
 */
import { createHash, randomBytes } from 'node:crypto'

/** 32 bytes are 43 characters of base64url; an operator's own secret must not be shorter. */
const KEY_TEXT = /^mst_([a-z0-9]{1,32})_([A-Za-z0-9_-]{43,200})$/

/** What a key must look like, in words. */
export const KEY_FORM =
  'mst_<id>_<secret>: the id has 1 to 32 lower-case letters and digits, ' +
  'the secret 43 to 200 letters, digits, "-" and "_"'

/**
 * The parts of a key; undefined for any other text. `keyId` is public and appears in jobs and logs; `secret` never
 * does.
 */
export function parseKey(text: string): { keyId: string; secret: string } | undefined {
  const [, keyId, secret] = KEY_TEXT.exec(text) ?? []
  return keyId === undefined || secret === undefined ? undefined : { keyId, secret }
}

/** A new key with this ID and 256 random bits. */
export function makeKey(keyId: string): string {
  return `mst_${keyId}_${randomBytes(32).toString('base64url')}`
}

/** The SHA-256 of a whole key. */
export function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
