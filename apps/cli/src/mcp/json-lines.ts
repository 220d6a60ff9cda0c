/** Cuts a stream of bytes into lines. It does not read what stands in them. */

/** What came: a line without its end, or the news that one was too long and is gone. */
type Cut = { readonly line: string } | { readonly tooLongBytes: number }

const NEWLINE = 0x0a

/**
 * Answers a function that takes bytes as they come and tells `onCut` of every line. Of a line above the limit nothing is
 * kept, however much of it comes, so that nobody can fill the memory; the next line is read again.
 */
export function cutLines(limitBytes: number, onCut: (cut: Cut) => void): (bytes: Buffer) => void {
  let parts: Buffer[] = []
  let length = 0
  const keep = (bytes: Buffer) => {
    length += bytes.length
    if (length > limitBytes) parts = []
    else if (bytes.length > 0) parts.push(bytes)
  }
  return (bytes) => {
    let from = 0
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
      keep(bytes.subarray(from, end))
      onCut(length > limitBytes ? { tooLongBytes: length } : { line: Buffer.concat(parts).toString() })
      parts = []
      length = 0
      from = end + 1
    }
    keep(bytes.subarray(from))
  }
}
