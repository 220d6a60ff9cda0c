/** Reads the part of one host's output that is shown: a page from a cursor, the last lines, or both ends. */
import { type Input, isTerminalRun, MusterError, type OutputPage, type OutputStream, type Run } from '@muster/contract'
import { findRun, type Ledger, readOutput } from '@muster/ledger'
import type { TextLimits } from '../../text/frame.ts'
import { noSuchRun } from '../call/not-found.ts'
import { readOutputCursor } from './output-cursor.ts'
import { type Segment, type StreamFacts, writeEnds, writePage, writeTail } from './output-text.ts'

/** A query for one host. */
export type HostQuery = Input<'get_output'> & { host: string }

/**
 * Returns output of one host as text.
 * @throws {MusterError} not_found; invalid_request for a cursor of another host, stream or job
 */
export async function readHostOutput(ledger: Ledger, query: HostQuery, limits: TextLimits): Promise<string> {
  const { job_id: jobId, host, tail, cursor } = query
  const run = await findRun(ledger, jobId, host)
  if (run === undefined) throw await noSuchRun(ledger, jobId, host)
  const { maxChars } = limits
  if (cursor !== undefined) return readOn(ledger, query, run, cursor, limits)
  const stream = query.stream ?? streamOf(run)
  const { bytes: total } = run[stream]
  if (tail !== undefined) {
    const { segments, page } = await readSpan(ledger, run, stream, Math.max(0, total - maxChars))
    return writeTail(factsOf(run, page), lastOf(segments), tail, limits)
  }
  const beginning = await readBytes(ledger, run, stream, 0, maxChars)
  const first = segmentOf(beginning)
  const isAll = beginning.next_offset >= beginning.total_bytes
  if (isAll) return writeEnds(factsOf(run, beginning), [first], limits)
  const endFrom = Math.max(beginning.next_offset, beginning.total_bytes - maxChars)
  const { segments, page } = await readSpan(ledger, run, stream, endFrom)
  return writeEnds(factsOf(run, page), joined(first, segments), limits)
}

async function readOn(ledger: Ledger, query: HostQuery, run: Run, cursor: string, limits: TextLimits) {
  const position = readOutputCursor({ jobId: run.job_id, host: run.host }, cursor)
  if (query.stream !== undefined && query.stream !== position.stream) {
    const message = `stream: the cursor goes on in ${position.stream}; received ${query.stream}`
    throw new MusterError('invalid_request', message, { details: { field: 'stream', job_id: run.job_id } })
  }
  const page = await readBytes(ledger, run, position.stream, position.offset, limits.maxChars)
  const isSameAttempt = position.startedMs === startedMsOf(page) || position.offset === 0
  if (isSameAttempt) {
    const gone = page.omitted_bytes > 0 ? [`${page.omitted_bytes} bytes before these were not kept.`] : []
    return writePage(factsOf(run, page, gone), segmentOf(page), limits)
  }
  // The bytes of the new attempt do not continue those of the other, however many there are.
  const note =
    `The command was started again (attempt ${run.attempt}): the output that the cursor belongs to is gone, ` +
    'and this is the beginning of the new output.'
  const fresh = await readBytes(ledger, run, position.stream, 0, limits.maxChars)
  return writePage(factsOf(run, fresh, [note]), segmentOf(fresh), limits)
}

/** The stream to show: stderr if the command printed nothing else. */
function streamOf({ stdout, stderr }: Run): OutputStream {
  return stdout.bytes === 0 && stderr.bytes > 0 ? 'stderr' : 'stdout'
}

/** Everything that is kept from `offset` to the end, in at least one segment, which may be empty. */
async function readSpan(ledger: Ledger, run: Run, stream: OutputStream, offset: number) {
  const segments: Segment[] = []
  let page = await readBytes(ledger, run, stream, offset)
  segments.push(segmentOf(page))
  // A command may go on printing: this reads up to what was there at the first page.
  const until = page.total_bytes
  while (page.next_offset < until) {
    const next = await readBytes(ledger, run, stream, page.next_offset)
    if (next.next_offset === page.next_offset || next.started_at !== page.started_at) break
    segments.push(segmentOf(next))
    page = next
  }
  return { segments: merged(segments), page }
}

async function readBytes(
  ledger: Ledger,
  { job_id: jobId, host }: Run,
  stream: OutputStream,
  offset: number,
  limitBytes = 64 * 1024,
): Promise<OutputPage> {
  const page = await readOutput(ledger, jobId, host, { stream, offset, limitBytes, encoding: 'base64' })
  if (page === undefined) throw new MusterError('not_found', `there is no job ${jobId} any more`)
  return page
}

function segmentOf({ offset, data }: OutputPage): Segment {
  return { offset, bytes: Buffer.from(data, 'base64') }
}

function lastOf(segments: readonly Segment[]): Segment {
  return segments.at(-1) ?? { offset: 0, bytes: Buffer.alloc(0) }
}

function joined(first: Segment, rest: readonly Segment[]): Segment[] {
  return merged([first, ...rest])
}

/** Joins segments that follow one another without a gap. */
function merged(segments: readonly Segment[]): Segment[] {
  const all: Segment[] = []
  for (const segment of segments) {
    const before = all.at(-1)
    if (before === undefined || before.offset + before.bytes.length !== segment.offset) all.push(segment)
    else all[all.length - 1] = { offset: before.offset, bytes: Buffer.concat([before.bytes, segment.bytes]) }
  }
  return all
}

function factsOf(run: Run, page: OutputPage, notes: readonly string[] = []): StreamFacts {
  const { stream } = page
  const other = stream === 'stdout' ? 'stderr' : 'stdout'
  const hints = run[other].bytes > 0 ? [`There is ${other} too: ${run[other].bytes} bytes.`] : []
  const isDoubtful = isTerminalRun(run.state) && !run.output_complete
  const doubts = isDoubtful ? ['The command may have printed more than is known.'] : []
  return {
    jobId: run.job_id,
    host: run.host,
    stream,
    end: endOf(run),
    // By the page as well: the run may have ended since it was read.
    hasEnded: isTerminalRun(run.state) || page.eof,
    totalBytes: page.total_bytes,
    omittedBytes: run[stream].omitted_bytes,
    startedMs: startedMsOf(page),
    notes: [...notes, ...hints, ...doubts],
  }
}

/** The state of a run, in a few words. */
export function endOf(run: Pick<Run, 'state' | 'reason' | 'exit_code' | 'signal'>): string {
  const { state, reason, exit_code: code, signal } = run
  if (code !== null) return `${state}, exit ${code}`
  if (signal !== null) return `${state}, signal ${signal}`
  return reason === null ? state : `${state}, ${reason}`
}

function startedMsOf({ started_at: startedAt }: OutputPage): number {
  return startedAt === null ? 0 : Date.parse(startedAt)
}
