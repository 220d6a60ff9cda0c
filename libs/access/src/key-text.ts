/**
 * The text of an API key, `mst_<key id>_<secret>`, and its digest.
 *
 * The digest is one SHA-256: a secret of 256 random bits cannot be guessed, so slowing the guessing down would only
 * slow every request down. Stores nothing.
 */
import { createHash, randomBytes } from 'node:crypto'

/** A secret of 32 bytes is 43 characters of base64url; a shorter one is not taken from an operator either. */
const KEY_TEXT = /^mst_([a-z0-9]{1,32})_([A-Za-z0-9_-]{43,200})$/

/** What a key must look like, in words. */
export const KEY_FORM =
  'mst_<id>_<secret>, the id of 1 to 32 lower-case letters and digits, the secret of 43 to 200 letters, digits, "-" and "_"'

/** The parts of a key: `keyId` is public and appears in jobs and logs, `secret` never does. Undefined for any other text. */
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
