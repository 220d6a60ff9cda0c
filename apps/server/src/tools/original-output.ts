/**
 * Reads what a command has printed for an answer of the profile `original`: all of it, or its beginning and its end
 * with a line between them that says how much is left out.
 */
import { MusterError, type OutputStream, type Run } from '@muster/contract'
import { type Ledger, readOutput } from '@muster/ledger'

/** Most bytes of a stream in an answer, and how many of them are its beginning: the end matters more. */
const SHOWN_BYTES = 24_000
const HEAD_BYTES = 6_000

/** A stream as text. Bytes that are no UTF-8 are U+FFFD. */
export type ReadStream = { readonly text: string; readonly leftOutBytes: number }

/** Consecutive bytes of a stream. */
type Segment = { readonly offset: number; readonly bytes: Buffer }

/**
 * Reads a stream of a run, as far as it has printed.
 * @throws {MusterError} not_found, ledger_unavailable
 */
export async function readEnds(ledger: Ledger, run: Run, stream: OutputStream): Promise<ReadStream> {
  const total = run[stream].bytes
  if (total <= SHOWN_BYTES) return textOf(await readSpan(ledger, run, stream, 0, total), total)
  const head = await readSpan(ledger, run, stream, 0, HEAD_BYTES)
  const tail = await readSpan(ledger, run, stream, total - (SHOWN_BYTES - HEAD_BYTES), total)
  return textOf([...head.map(upToLine), ...tail.map(fromLine)], total)
}

/** The bytes that are kept between two offsets. Where some are not, a further segment begins. */
async function readSpan(
  ledger: Ledger,
  { job_id: jobId, host }: Run,
  stream: OutputStream,
  from: number,
  to: number,
): Promise<Segment[]> {
  const segments: Segment[] = []
  for (let at = from; at < to; ) {
    const page = await readOutput(ledger, jobId, host, { stream, offset: at, limitBytes: to - at, encoding: 'base64' })
    if (page === undefined) throw new MusterError('not_found', `there is no job ${jobId} any more`)
    const bytes = Buffer.from(page.data, 'base64')
    if (bytes.length === 0) break
    const before = segments.at(-1)
    const isNext = before !== undefined && before.offset + before.bytes.length === page.offset
    if (isNext) segments[segments.length - 1] = { ...before, bytes: Buffer.concat([before.bytes, bytes]) }
    else segments.push({ offset: page.offset, bytes })
    at = page.next_offset
  }
  return segments
}

function textOf(segments: readonly Segment[], total: number): ReadStream {
  let text = ''
  let at = 0
  for (const { offset, bytes } of segments) {
    text += gapLine(offset - at) + bytes.toString('utf8')
    at = offset + bytes.length
  }
  const shown = segments.reduce((sum, { bytes }) => sum + bytes.length, 0)
  return { text: text + gapLine(total - at), leftOutBytes: total - shown }
}

function gapLine(bytes: number): string {
  return bytes <= 0
    ? ''
    : `\n[${bytes} bytes are left out here: get_output with the job_id shows what is kept of them]\n`
}

const NEWLINE = 0x0a

/** Without the incomplete line at the end, unless that is most of it; never with half a character there. */
function upToLine({ offset, bytes }: Segment): Segment {
  const line = bytes.lastIndexOf(NEWLINE) + 1
  return { offset, bytes: bytes.subarray(0, line > bytes.length / 2 ? line : characterEnd(bytes)) }
}

/** Without the incomplete line at the beginning, unless that is most of it; never with half a character there. */
function fromLine({ offset, bytes }: Segment): Segment {
  const line = bytes.indexOf(NEWLINE) + 1
  const start = line > 0 && line < bytes.length / 2 ? line : bytes.findIndex((byte) => !isContinuation(byte))
  return { offset: offset + Math.max(0, start), bytes: bytes.subarray(Math.max(0, start)) }
}

/** Where the last whole character ends, at most three bytes before the end. */
function characterEnd(bytes: Buffer): number {
  for (let start = bytes.length - 1; start >= Math.max(0, bytes.length - 3); start -= 1) {
    if (isContinuation(bytes[start] ?? 0)) continue
    const isWhole = bytes.subarray(start).toString('utf8') !== '\u{fffd}'
    return isWhole ? bytes.length : start
  }
  return bytes.length
}

/** Whether the byte is inside a character of UTF-8 (RFC 3629). */
function isContinuation(byte: number): boolean {
  return (byte & 0b1100_0000) === 0b1000_0000
}
