/**
 * Reads a stream of a run by byte offset, even while the command runs.
 *
 * Offsets count the bytes that the command wrote. Of a long stream the head and the tail are kept, and the bytes
 * between them are gone. A page never joins the two; it says how many bytes are missing.
 */
import { isTerminalRun, type OutputPage, type OutputStream } from '@muster/contract'
import { z } from 'zod'
import { isoTime } from '../job/stored-job.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { runScriptForBytes } from '../redis/scripts.ts'
import { findRunWithDigest } from './read-run.ts'

/** Which part of which stream to read. */
export type OutputQuery = {
  stream: OutputStream
  offset: number
  limitBytes: number
  encoding: 'utf8' | 'base64'
}

/**
 * Returns a page of output. Undefined when there is no such job, or the host is not in it.
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
  const part = await readPart(ledger, jobId, index, query)
  const hasEnded = isTerminalRun(run.state)
  const totalBytes = Math.max(stored.bytes, part.knownBytes)
  const isEnd = hasEnded && part.offset + part.bytes.length >= totalBytes
  // Text is cut between characters, so that pages join up. The rest of a character comes with the next page.
  const mayGrow = !hasEnded && part.offset + part.bytes.length >= part.knownBytes
  const bytes = query.encoding === 'utf8' && !isEnd ? wholeCharacters(part.bytes, mayGrow) : part.bytes
  const nextOffset = part.offset + bytes.length
  return {
    job_id: jobId,
    host,
    stream: query.stream,
    offset: part.offset,
    next_offset: nextOffset,
    omitted_bytes: part.skippedBytes,
    total_bytes: totalBytes,
    started_at: isoTime(part.startedMs),
    encoding: query.encoding,
    data: bytes.toString(query.encoding),
    eof: hasEnded && nextOffset >= totalBytes,
    unverified: run.reason === 'end_unverified',
  }
}

type Part = {
  offset: number
  bytes: Buffer
  skippedBytes: number
  knownBytes: number
  omittedBytes: number
  startedMs: number | undefined
}

const PartAnswer = z.tuple([z.number(), z.instanceof(Buffer), z.number(), z.number(), z.number()])

async function readPart(
  ledger: Ledger,
  jobId: string,
  index: number,
  { stream, offset, limitBytes }: OutputQuery,
): Promise<Part> {
  const { redis, keys } = ledger
  const answer = await ask(redis, () =>
    runScriptForBytes(ledger, 'output', {
      jobId,
      head: keys.head(jobId, index, stream),
      tail: keys.tail(jobId, index, stream),
      index,
      stream,
      from: offset,
      count: limitBytes,
    }),
  )
  const [from, bytes, knownBytes, omittedBytes, startedMs] = PartAnswer.parse(answer)
  const part = { offset: from, bytes, skippedBytes: from - offset, knownBytes, omittedBytes }
  return { ...part, startedMs: startedMs === 0 ? undefined : startedMs }
}

/** Leaves out a UTF-8 character (RFC 3629) at the end whose last bytes are missing: at most three bytes. */
function wholeCharacters(bytes: Buffer, mayGrow: boolean): Buffer {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0
    if ((byte & 0b1100_0000) === 0b1000_0000) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    // A page that holds nothing else is returned as it is, because no page would ever get past it otherwise; unless the
    // rest of the character may still come.
    return length > back && (bytes.length > back || mayGrow) ? bytes.subarray(0, bytes.length - back) : bytes
  }
  return bytes
}

/**
 * Returns the first bytes that are kept of a stream, as text, and whether that is all of it.
 * @throws {MusterError} ledger_unavailable
 */
export async function readBeginning(
  ledger: Ledger,
  jobId: string,
  index: number,
  stream: OutputStream,
  limitBytes: number,
): Promise<{ text: string; isAll: boolean }> {
  const { bytes, isAll } = await readBeginningBytes(ledger, jobId, index, stream, limitBytes)
  return { text: bytes.toString('utf8'), isAll }
}

/**
 * Returns the first bytes that are kept of a stream, and whether that is all of it.
 * @throws {MusterError} ledger_unavailable
 */
export async function readBeginningBytes(
  ledger: Ledger,
  jobId: string,
  index: number,
  stream: OutputStream,
  limitBytes: number,
): Promise<{ bytes: Buffer; isAll: boolean }> {
  const read = (offset: number, most: number) =>
    readPart(ledger, jobId, index, { stream, offset, limitBytes: most, encoding: 'utf8' })
  const head = await read(0, limitBytes)
  const isHeadOnly = head.omittedBytes > 0 || head.bytes.length >= Math.min(limitBytes, head.knownBytes)
  // When nothing was left out between head and tail, the two read as one.
  const tail = isHeadOnly ? Buffer.alloc(0) : (await read(head.bytes.length, limitBytes - head.bytes.length)).bytes
  const bytes = Buffer.concat([head.bytes, tail])
  return { bytes, isAll: bytes.length >= head.knownBytes }
}
