/**
 * Telling the output of a durable command from what its follower says about it: lines that begin with a random nonce.
 *
 *   noise of start-up files → lines → "output" → the bytes of the command → "end"
 *
 * Gives exactly the bytes between the two, as the offset of the next connection is counted from them. Does not read
 * streams (drain.ts).
 */
import type { Markers } from './start-marks.ts'

/**
 * Reads one stream of a follower. `onLine` is told of each line of the follower, without its nonce; what is held back
 * because it may be the beginning of one is never given, but asked for again on the next connection.
 */
export function betweenMarkers(nonce: string, onLine: (line: string) => void): Markers {
  const mark = Buffer.from(`muster-${nonce}:`)
  let isOutput = false
  let isOver = false
  let held: Buffer = Buffer.alloc(0)

  const pass = (bytes: Buffer): Buffer => {
    if (isOver) return Buffer.alloc(0)
    let text = Buffer.concat([held, bytes])
    const output: Buffer[] = []
    for (;;) {
      const at = text.indexOf(mark)
      const lineEnd = at === -1 ? -1 : text.indexOf('\n', at)
      const until = at === -1 ? text.length - beginningOf(mark, text) : at
      if (isOutput) output.push(text.subarray(0, until))
      if (lineEnd === -1) {
        held = text.subarray(until)
        return Buffer.concat(output)
      }
      const line = text.toString('utf8', at + mark.length, lineEnd)
      text = text.subarray(lineEnd + 1)
      isOver = isOutput
      isOutput ||= line === 'output'
      onLine(line)
      if (isOver) return Buffer.concat(output)
    }
  }
  return { pass, rest: () => Buffer.alloc(0) }
}

/** How many of the last bytes are the first of the mark: no more are held back, so that a reader sees the rest at once. */
function beginningOf(mark: Buffer, text: Buffer): number {
  for (let count = Math.min(mark.length - 1, text.length); count > 0; count -= 1) {
    if (text.subarray(text.length - count).equals(mark.subarray(0, count))) return count
  }
  return 0
}
