/** Cuts a stream of bytes into lines. It does not parse them. */
import { type MessageId, searchMessageId } from '@muster/contract'

/** A line without its end, or the length of one that was too long and is dropped, and the ID of the request in it. */
type Cut = { readonly line: string } | { readonly tooLongBytes: number; readonly id: MessageId }

const NEWLINE = 0x0a

/**
 * Returns a function that takes bytes as they arrive and passes every line to `onCut`. A line above the limit is
 * dropped, however long it is, so that nobody can fill the memory; reading goes on with the next line.
 */
export function cutLines(limitBytes: number, onCut: (cut: Cut) => void): (bytes: Buffer) => void {
  let parts: Buffer[] = []
  let length = 0
  let search = searchMessageId()
  const keep = (bytes: Buffer) => {
    length += bytes.length
    search.take(bytes)
    if (length > limitBytes) parts = []
    else if (bytes.length > 0) parts.push(bytes)
  }
  return (bytes) => {
    let from = 0
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
      keep(bytes.subarray(from, end))
      const isTooLong = length > limitBytes
      onCut(isTooLong ? { tooLongBytes: length, id: search.found() } : { line: Buffer.concat(parts).toString() })
      parts = []
      length = 0
      search = searchMessageId()
      from = end + 1
    }
    keep(bytes.subarray(from))
  }
}
