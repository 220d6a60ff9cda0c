/**
 * Separates the output of a durable command from its follower's own lines, which begin with a random nonce.
 *
 *   noise of start-up files → lines → "1" or "2": the bytes of that stream, up to the next line → … → "end"
 *
 * Returns exactly those bytes, as the next connection's offset is counted from them. Does not read streams (drain.ts).
 */
import type { OutputStream } from '@muster/contract'
import type { Piece, Splitter } from '../output/drain.ts'

/** Longer lines are not ours. They are cut, so that a host cannot make us buffer without end. */
const LINE_LIMIT_BYTES = 200

/**
 * Takes a channel's bytes apart; the follower may be heard on either stream. `onLine` gets each of its lines, without
 * the nonce. Bytes held back as the possible beginning of a line are never returned; the next connection asks for them
 * again.
 */
export function splitDurable(nonce: string, onLine: (line: string) => void): Splitter {
  const readers = { stdout: readOne(nonce, onLine), stderr: readOne(nonce, onLine) }
  return { pass: (from, bytes) => readers[from](bytes), rest: () => [] }
}

const STREAMS: ReadonlyMap<string, OutputStream> = new Map([
  ['1', 'stdout'],
  ['2', 'stderr'],
])

function readOne(nonce: string, onLine: (line: string) => void) {
  const mark = Buffer.from(`muster-${nonce}:`)
  let stream: OutputStream | undefined
  let held: Buffer = Buffer.alloc(0)

  return (bytes: Buffer): readonly Piece[] => {
    let text = Buffer.concat([held, bytes])
    const pieces: Piece[] = []
    for (;;) {
      const at = text.indexOf(mark)
      const until = at === -1 ? text.length - beginningOf(mark, text) : at
      if (stream !== undefined && until > 0) pieces.push([stream, text.subarray(0, until)])
      text = text.subarray(until)
      if (at === -1) break
      const lineEnd = text.subarray(0, LINE_LIMIT_BYTES).indexOf('\n')
      if (lineEnd === -1 && text.length < LINE_LIMIT_BYTES) break
      const line = text.toString('latin1', mark.length, lineEnd === -1 ? LINE_LIMIT_BYTES : lineEnd)
      text = text.subarray(lineEnd === -1 ? LINE_LIMIT_BYTES : lineEnd + 1)
      stream = STREAMS.get(line)
      if (stream === undefined) onLine(line)
    }
    held = text
    return pieces
  }
}

/** How many of the last bytes are a beginning of the mark. Only these are held back. */
function beginningOf(mark: Buffer, text: Buffer): number {
  for (let count = Math.min(mark.length - 1, text.length); count > 0; count -= 1) {
    if (text.subarray(text.length - count).equals(mark.subarray(0, count))) return count
  }
  return 0
}
