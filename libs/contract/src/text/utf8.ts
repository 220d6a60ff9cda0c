/** Text from bytes, exactly or not at all: a decoder that puts U+FFFD for what it cannot read makes another text of it. */
import { isUtf8 } from 'node:buffer'

const REPLACED = '\ufffd'
const REPLACED_BYTES = Buffer.from(REPLACED)

/** The text that the bytes are in UTF-8, a byte-order mark included; or which of them, from 0, is the first that is not. */
export function decodeUtf8(bytes: Buffer): { readonly text: string } | { readonly badAt: number } {
  const text = bytes.toString()
  return isUtf8(bytes) ? { text } : { badAt: firstBad(bytes, text) }
}

/** The first U+FFFD in the text that does not stand for itself. */
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
