/** Compares what Muster kept of a command's output with what the command printed. */
import { createHash } from 'node:crypto'

/** One stream as the API tells of it. */
export type StreamReading = {
  readonly bytes: number
  readonly omittedBytes: number
  /** Null where it is not told, which is a mistake of a stream that is complete. */
  readonly sha256: string | null
  /** What was kept, in order, each piece with its offset in the stream. */
  readonly pieces: ReadonlyArray<{ readonly offset: number; readonly data: Buffer }>
}

/**
 * What is wrong with a stream that is said to be complete; undefined when nothing is. Below the limit every byte must
 * be there; above it, as many as the limit allows, the exact count, and the digest of all.
 */
export function wrongInComplete(expected: Buffer, reading: StreamReading, limitBytes: number): string | undefined {
  if (reading.bytes !== expected.length) return `${reading.bytes} bytes are told of, ${expected.length} were written`
  const kept = reading.pieces.reduce((sum, { data }) => sum + data.length, 0)
  if (kept !== Math.min(expected.length, limitBytes)) {
    return `${kept} of ${expected.length} bytes were kept, with a limit of ${limitBytes}`
  }
  if (reading.omittedBytes !== expected.length - kept) {
    return `${reading.omittedBytes} bytes are said to be omitted, and ${expected.length - kept} are`
  }
  const first = reading.pieces.at(0)
  if (first !== undefined && first.offset !== 0) return `the first ${first.offset} bytes are missing`
  const last = reading.pieces.at(-1)
  if (last !== undefined && last.offset + last.data.length !== expected.length) return 'the last bytes are missing'
  const digest = createHash('sha256').update(expected).digest('hex')
  if (reading.sha256 !== digest) return `the SHA-256 is ${reading.sha256}, not ${digest}`
  return wrongInPart(expected, reading)
}

/** What is wrong with a stream that may lack its end: every byte that is there must be the one that was written. */
export function wrongInPart(expected: Buffer, reading: StreamReading): string | undefined {
  const wrong = reading.pieces.find(({ offset, data }) => !data.equals(expected.subarray(offset, offset + data.length)))
  return wrong === undefined
    ? undefined
    : `the ${wrong.data.length} bytes from ${wrong.offset} on are not those written`
}
