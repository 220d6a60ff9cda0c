/** Searches the output of a job for lines: of one host, or of all hosts, each distinct output once. */
import { foldHosts, type OutputStream, type Run } from '@muster/contract'
import { findRun, type Ledger, type OutcomeGroup, readOutput, readRunGroups } from '@muster/ledger'
import type { TextLimits } from '../../text/frame.ts'
import { noSuchJob, noSuchRun } from '../call/not-found.ts'
import type { Caller } from '../call/operation.ts'
import { compilePattern, type LinePattern, type SearchedBytes, searchLines } from './line-search.ts'
import { readOutputCursor, writeOutputCursor } from './output-cursor.ts'
import { endOf, type HostQuery } from './read-host-output.ts'
import { type SearchedGroup, type SearchedStream, writeGroupSearch, writeHostSearch } from './search-text.ts'

/** Well below the 45 s after which the first callers give up: a partial result is better than none. */
const SEARCH_LIMIT_MS = 12_000
/** Bytes read in one round trip. */
const PIECE_BYTES = 256 * 1024
/** Lines are kept for this many groups; the others are only counted. */
const GROUPS_LIMIT = 200

/**
 * Returns the matching lines of one host, as text.
 * @throws {MusterError} not_found; invalid_request for a bad pattern or cursor
 */
export async function searchHost(
  ledger: Ledger,
  query: HostQuery & { grep: string },
  caller: Pick<Caller, 'signal'>,
  limits: TextLimits,
): Promise<string> {
  const { job_id: jobId, host, grep, tail, cursor } = query
  const pattern = compilePattern(grep)
  const run = await findRun(ledger, jobId, host)
  if (run === undefined) throw await noSuchRun(ledger, jobId, host)
  const position = cursor === undefined ? undefined : readOutputCursor({ jobId, host }, cursor)
  const streams = streamsOf(position?.stream ?? query.stream)
  const searching = {
    deadlineMs: performance.now() + SEARCH_LIMIT_MS,
    signal: caller.signal,
    keptChars: Math.floor(limits.maxChars / streams.length),
    last: tail,
  }
  const startedMs = run.started_at === null ? 0 : Date.parse(run.started_at)
  const isStale = position !== undefined && position.startedMs !== startedMs
  const from = isStale ? 0 : (position?.offset ?? 0)
  const found: SearchedStream[] = []
  for (const stream of streams) {
    const pieces = piecesOf(ledger, run, stream, from)
    const search = await searchLines(pieces, pattern, searching, from === 0)
    const cursorTo = (offset: number) => writeOutputCursor({ jobId, host }, { stream, offset, startedMs })
    found.push({ stream, search, isTail: tail !== undefined, cursorTo })
  }
  return writeHostSearch({ run, end: endOf(run), grep, streams: found, isStale, isFromStart: from === 0 }, limits)
}

/**
 * Returns the matching lines of all hosts, as text. Each distinct output is searched once.
 * @throws {MusterError} not_found; invalid_request for a bad pattern
 */
export async function searchGroups(
  ledger: Ledger,
  query: { job_id: string; grep: string; stream?: OutputStream | undefined },
  caller: Pick<Caller, 'signal'>,
  limits: TextLimits,
): Promise<string> {
  const { job_id: jobId, grep } = query
  const pattern = compilePattern(grep)
  const job = await readRunGroups(ledger, jobId)
  if (job === undefined) throw noSuchJob(jobId)
  const deadlineMs = performance.now() + SEARCH_LIMIT_MS
  const groups: SearchedGroup[] = []
  let searched = 0
  for (const group of job.groups) {
    if (performance.now() > deadlineMs || caller.signal.aborted) break
    const keptChars = groups.length < GROUPS_LIMIT ? limits.maxChars / 2 : 0
    const streams = await searchGroup(ledger, jobId, group, {
      pattern,
      stream: query.stream,
      limits: { deadlineMs, signal: caller.signal, keptChars },
    })
    searched += 1
    const hosts = group.runs.map(({ host }) => host)
    groups.push({
      hosts: foldHosts(hosts),
      count: hosts.length,
      host: group.first.host,
      end: endOf(group.first),
      streams,
    })
  }
  const left = job.groups.slice(searched)
  return writeGroupSearch(
    {
      jobId,
      grep,
      state: job.state,
      total: job.total,
      groups,
      without: job.without.length,
      leftGroups: left.length,
      leftHosts: left.reduce((sum, { runs }) => sum + runs.length, 0),
    },
    limits,
  )
}

async function searchGroup(
  ledger: Ledger,
  jobId: string,
  { first }: OutcomeGroup,
  how: { pattern: LinePattern; stream: OutputStream | undefined; limits: Parameters<typeof searchLines>[2] },
): Promise<SearchedStream[]> {
  const found: SearchedStream[] = []
  for (const stream of streamsOf(how.stream)) {
    if (first.bytes[stream] === 0) continue
    const pieces = piecesOf(ledger, { job_id: jobId, host: first.host }, stream, 0)
    const search = await searchLines(pieces, how.pattern, how.limits)
    found.push({ stream, search, isTail: false, cursorTo: () => '' })
  }
  return found
}

function streamsOf(stream: OutputStream | undefined): OutputStream[] {
  return stream === undefined ? ['stdout', 'stderr'] : [stream]
}

/** Reads the kept bytes of a stream from an offset on, up to its length at the first read. */
async function* piecesOf(
  ledger: Ledger,
  { job_id: jobId, host }: Pick<Run, 'job_id' | 'host'>,
  stream: OutputStream,
  from: number,
): AsyncGenerator<SearchedBytes> {
  const read = (offset: number) =>
    readOutput(ledger, jobId, host, { stream, offset, limitBytes: PIECE_BYTES, encoding: 'base64' })
  let page = await read(from)
  const until = page?.total_bytes ?? 0
  const startedAt = page?.started_at
  while (page !== undefined && page.started_at === startedAt && page.data.length + page.omitted_bytes > 0) {
    yield { offset: page.offset, bytes: Buffer.from(page.data, 'base64'), omittedBefore: page.omitted_bytes }
    if (page.next_offset >= until) return
    page = await read(page.next_offset)
  }
}
