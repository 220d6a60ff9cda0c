/**
 * Lists the runs of a job in pages. With a filter it first reads states only, and only of the runs that can be meant,
 * and then the runs of the page.
 */
import { isTerminalRun, type Run, type RunState } from '@muster/contract'
import { z } from 'zod'
import { readStoredJob, type StoredJob } from '../job/stored-job.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { endedRuns } from './ended-job.ts'
import { type PagedList, readCursor, writeCursor } from './page-cursor.ts'
import { inTurns, range, readAll } from './read-in-turns.ts'
import { readRuns, unreleasedEnd } from './read-run.ts'

/** Runs read in one round trip, and checked in one turn. */
const CHUNK = 100
/** States read in one round trip. */
const STATES_CHUNK = 500
/** Most states that one page reads, so that no call takes long. */
const SCAN_LIMIT = 20_000

const Indexes = z.array(z.coerce.number().int())
const POSITION = /^\d{1,9}$/

/** A page of runs; `next_cursor` is null on the last. */
type RunPage = { runs: Run[]; next_cursor: string | null }

/**
 * A page of runs in the order of the frozen set. Undefined when there is no such job. A filtered page of a very large
 * job may be short or empty and still have a `next_cursor`: it ended after the most states that one call reads.
 * @throws {MusterError} invalid_request for a cursor of no page of this job with this filter; ledger_unavailable
 */
export async function listRuns(
  ledger: Ledger,
  jobId: string,
  page: { state?: RunState | undefined; limit: number; cursor?: string | undefined },
): Promise<RunPage | undefined> {
  const list: PagedList = ['runs', jobId, page.state]
  const start = page.cursor === undefined ? 0 : Number(readCursor(list, page.cursor, POSITION))
  const job = await readStoredJob(ledger, jobId)
  if (job === undefined) return undefined
  const { state, limit } = page
  const cursorTo = (position: number | undefined) => (position === undefined ? null : writeCursor(list, position))
  if (state === undefined) {
    const indexes = range(start, Math.min(job.total, start + limit + 1))
    return { runs: await readPage(ledger, jobId, job, indexes.slice(0, limit)), next_cursor: cursorTo(indexes[limit]) }
  }
  const ended = await endedRuns(ledger, jobId, job)
  // Redis lists none of the runs as lost whose ends are unverified.
  const isHidden = state === 'lost' && ended !== undefined && ended.unverified.length > 0
  const candidates = isHidden
    ? range(start, Math.min(job.total, start + SCAN_LIMIT + 1))
    : await candidatesOf(ledger, jobId, job, { state, start, count: ended?.counts[state] })
  const looked = candidates.slice(0, SCAN_LIMIT)
  const [pick, chunk] = isHidden ? [verifiedInState, CHUNK] : [inState, STATES_CHUNK]
  const found: number[] = []
  for await (const index of inTurns(looked, chunk, (part) => pick(ledger, jobId, job, part, state))) {
    found.push(index)
    // The first run that does not fit begins the next page.
    if (found.length > limit) break
  }
  // Some may have changed since their state was read.
  const runs = await readPage(ledger, jobId, job, found.slice(0, limit), state)
  return { runs, next_cursor: cursorTo(found[limit] ?? candidates[SCAN_LIMIT]) }
}

/** The runs with these indexes. With a state, only those whose record has it, even if the rest cannot be read. */
async function readPage(
  ledger: Ledger,
  jobId: string,
  job: StoredJob,
  indexes: readonly number[],
  state?: RunState,
): Promise<Run[]> {
  const runs: Run[] = []
  const read = (part: readonly number[]) => readRuns(ledger, jobId, job, part)
  for await (const { digest: _digest, storedState, ...run } of inTurns(indexes, CHUNK, read)) {
    if (state === undefined || storedState === state) runs.push(run)
  }
  return runs
}

/** The indexes of those runs that are in the state. */
async function inState(
  ledger: Ledger,
  jobId: string,
  job: StoredJob,
  indexes: readonly number[],
  state: RunState,
): Promise<number[]> {
  const states = await readAll(
    ledger,
    indexes.map((index) => ['hget', ledger.keys.run(jobId, index), 'state']),
  )
  return indexes.filter((index, i) => (states[i] ?? unreleasedEnd(index, job).state) === state)
}

/** The same, by the ends that a worker or the ledger vouches for. */
async function verifiedInState(
  ledger: Ledger,
  jobId: string,
  job: StoredJob,
  indexes: readonly number[],
  state: RunState,
): Promise<number[]> {
  const runs = await readRuns(ledger, jobId, job, indexes)
  return runs.filter((run) => run.state === state).map(({ index }) => index)
}

/** The indexes from `start` on of runs that may be in the state, in order: one more than a page looks at is enough. */
async function candidatesOf(
  { redis, keys }: Ledger,
  jobId: string,
  { total, rest_from: restFrom, rest_state: restState }: StoredJob,
  { state, start, count }: { state: RunState; start: number; count: number | undefined },
): Promise<number[]> {
  const [counted, next] = await ask(redis, () => redis.hmget(keys.job(jobId), `n:${state}`, 'next'))
  if ((count ?? Number(counted)) === 0) return []
  const from = (first: number) =>
    range(Math.max(start, first), Math.min(total, Math.max(start, first) + SCAN_LIMIT + 1))
  if (state === 'pending') return from(Number(next))
  if (state === 'succeeded') return from(0)
  const isOpen = !isTerminalRun(state)
  // So long a list takes longer to read than the states.
  if (!isOpen && (await ask(redis, () => redis.llen(keys.wrong(jobId)))) > SCAN_LIMIT) return from(0)
  const listed = await ask(redis, () =>
    isOpen ? redis.smembers(keys.open(jobId)) : redis.lrange(keys.wrong(jobId), 0, -1),
  )
  const rest = state === restState && restFrom !== undefined ? from(restFrom) : []
  const indexes = Indexes.parse(listed).filter((index) => index >= start)
  return [...new Set([...indexes, ...rest])].sort((a, b) => a - b)
}
