/** Decodes UTF-8 exactly or not at all: a decoder that writes U+FFFD for bad bytes would change the text. */
import { isUtf8 } from 'node:buffer'

const REPLACED = '\ufffd'
const REPLACED_BYTES = Buffer.from(REPLACED)

/** The text, a byte-order mark included; or the position of the first bad byte, from 0. */
export function decodeUtf8(bytes: Buffer): { readonly text: string } | { readonly badAt: number } {
  const text = bytes.toString()
  return isUtf8(bytes) ? { text } : { badAt: firstBad(bytes, text) }
}

/** The position in the bytes of the first U+FFFD in the text that the bytes do not contain themselves. */
function firstBad(bytes: Buffer, text: string): number {
  let offset = 0
  for (let from = 0; ; from += 1) {
    const at = text.indexOf(REPLACED, from)
    offset += Buffer.byteLength(text.slice(from, at))
    if (!bytes.subarray(offset, offset + REPLACED_BYTES.length).equals(REPLACED_BYTES)) return offset
    offset += REPLACED_BYTES.length
    from = at
  }
}
