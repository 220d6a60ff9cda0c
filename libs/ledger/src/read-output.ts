/**
 * Reading one stream of one run by byte offset, also while the command runs.
 *
 * Offsets count the bytes the command wrote. A long stream is kept as head and tail; the bytes between are gone,
 * and a page never joins the two: it says how many are missing.
 */
import { isTerminalRun, type OutputPage, type OutputStream } from '@muster/contract'
import { ask, type Ledger } from './open-ledger.ts'
import { findRunWithDigest } from './read-run.ts'

/** What is asked for. */
export type OutputQuery = {
  stream: OutputStream
  offset: number
  limitBytes: number
  encoding: 'utf8' | 'base64'
}

/**
 * A page of output. Undefined when there is no such job, or the host is not in it.
 * @throws {MusterError} ledger_unavailable
 */
export async function readOutput(
  ledger: Ledger,
  jobId: string,
  host: string,
  query: OutputQuery,
): Promise<OutputPage | undefined> {
  const found = await findRunWithDigest(ledger, jobId, host)
  if (found === undefined) return undefined
  const { run, index } = found
  const stored = run[query.stream]
  const part = await readPart(ledger, jobId, index, query, stored.omitted_bytes)
  const hasEnded = isTerminalRun(run.state)
  const totalBytes = Math.max(stored.bytes, part.knownBytes)
  const isEnd = hasEnded && part.offset + part.bytes.length >= totalBytes
  // Text is cut between characters, so that pages join up; the rest of a character comes with the next page.
  const bytes = query.encoding === 'utf8' && !isEnd ? wholeCharacters(part.bytes) : part.bytes
  const nextOffset = part.offset + bytes.length
  return {
    job_id: jobId,
    host,
    stream: query.stream,
    offset: part.offset,
    next_offset: nextOffset,
    omitted_bytes: part.skippedBytes,
    total_bytes: totalBytes,
    encoding: query.encoding,
    data: bytes.toString(query.encoding),
    eof: hasEnded && nextOffset >= totalBytes,
  }
}

type Part = { offset: number; bytes: Buffer; skippedBytes: number; knownBytes: number }

async function readPart(
  ledger: Ledger,
  jobId: string,
  index: number,
  { stream, offset, limitBytes }: OutputQuery,
  omittedBytes: number,
): Promise<Part> {
  const { redis, keys } = ledger
  const headKey = keys.head(jobId, index, stream)
  const tailKey = keys.tail(jobId, index, stream)
  return ask(redis, async () => {
    const [headBytes, tailBytes] = await Promise.all([redis.strlen(headKey), redis.strlen(tailKey)])
    const tailOffset = headBytes + omittedBytes
    const knownBytes = tailOffset + tailBytes
    if (offset < headBytes) {
      const bytes = await redis.getrangeBuffer(headKey, offset, Math.min(headBytes, offset + limitBytes) - 1)
      return { offset, bytes, skippedBytes: 0, knownBytes }
    }
    if (offset >= knownBytes) return { offset, bytes: Buffer.alloc(0), skippedBytes: 0, knownBytes }
    const from = Math.max(offset, tailOffset)
    const bytes = await redis.getrangeBuffer(tailKey, from - tailOffset, from - tailOffset + limitBytes - 1)
    return { offset: from, bytes, skippedBytes: from - offset, knownBytes }
  })
}

/** Leaves out a UTF-8 character (RFC 3629) whose last bytes are not there yet; at most three bytes. */
function wholeCharacters(bytes: Buffer): Buffer {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0
    if ((byte & 0b1100_0000) === 0b1000_0000) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    // A page that holds nothing but such a beginning is given as it is, or no page would ever pass it.
    return length > back && bytes.length > back ? bytes.subarray(0, bytes.length - back) : bytes
  }
  return bytes
}

/** The first bytes kept of a stream, as text, and whether that is all of it. */
export async function readBeginning(
  ledger: Ledger,
  jobId: string,
  index: number,
  stream: OutputStream,
  limitBytes: number,
  omittedBytes: number,
): Promise<{ text: string; isAll: boolean }> {
  const head = await readPart(ledger, jobId, index, { stream, offset: 0, limitBytes, encoding: 'utf8' }, omittedBytes)
  if (head.bytes.length < limitBytes && head.bytes.length < head.knownBytes && omittedBytes === 0) {
    // Nothing was left out between head and tail, so the two read as one.
    const offset = head.bytes.length
    const query = { stream, offset, limitBytes: limitBytes - offset, encoding: 'utf8' } as const
    const tail = await readPart(ledger, jobId, index, query, omittedBytes)
    const bytes = Buffer.concat([head.bytes, tail.bytes])
    return { text: bytes.toString('utf8'), isAll: bytes.length >= head.knownBytes }
  }
  return { text: head.bytes.toString('utf8'), isAll: head.bytes.length >= head.knownBytes }
}
