/** Lists jobs in pages, newest first: all of them, or those of one owner. Does not decide who may see which. */
import { type Job, type JobState, MusterError } from '@muster/contract'
import { z } from 'zod'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { readCursor, writeCursor } from './page-cursor.ts'
import { readAll } from './read-in-turns.ts'
import { findJob } from './read-job.ts'

/** Most jobs whose state one page reads, so that no call takes long. */
const SCAN_LIMIT = 5_000
/** States read in one round trip. */
const CHUNK = 500

const POSITION = /^job_[a-z2-7]{26}$/
const Texts = z.array(z.string().nullable())

/**
 * A page of jobs. A filtered page may be short or empty and still have a `next_cursor`: it ended after the most jobs
 * that one call looks at. Leaves out jobs whose record is damaged; reading one of those alone says so.
 * @throws {MusterError} invalid_request for a cursor of no page with this owner and state; ledger_unavailable
 */
export async function listJobs(
  ledger: Ledger,
  page: { owner?: string | undefined; state?: JobState | undefined; limit: number; cursor?: string | undefined },
): Promise<{ jobs: Job[]; next_cursor: string | null }> {
  const { redis, keys } = ledger
  const index = page.owner === undefined ? keys.jobs : keys.jobsOf(page.owner)
  // The cursor is the last ID seen: jobs that arrive meanwhile do not shift the pages.
  const list = ['jobs', page.owner, page.state] as const
  const last = page.cursor === undefined ? undefined : readCursor(list, page.cursor, POSITION)
  const rank = last === undefined ? null : await ask(redis, () => redis.zrevrank(index, last))
  const start = rank === null ? 0 : rank + 1
  const chunk = page.state === undefined ? page.limit : CHUNK
  const found: string[] = []
  let seen: string | undefined
  for (let from = start; found.length < page.limit && from < start + SCAN_LIMIT; from += chunk) {
    const jobIds = await ask(redis, () => redis.zrevrange(index, from, from + chunk - 1))
    const wanted = await inState(ledger, jobIds, page.state)
    found.push(...wanted.slice(0, page.limit - found.length))
    seen = found.length === page.limit ? found.at(-1) : jobIds.at(-1)
    if (seen === undefined) break
  }
  const jobs: (Job | undefined)[] = []
  // One after the other: all runs of an ended job are read once.
  for (const jobId of found) jobs.push(await findJob(ledger, jobId).catch(unlessDamaged))
  const isWanted = (job: Job | undefined) => job !== undefined && (page.state ?? job.state) === job.state
  return {
    jobs: jobs.filter((job) => job !== undefined).filter(isWanted),
    next_cursor: seen === undefined ? null : writeCursor(list, seen),
  }
}

/**
 * The IDs of the jobs that were submitted with one of these keys and have not ended.
 * @throws {MusterError} ledger_unavailable
 */
export async function jobsOfKeys(ledger: Ledger, keyIds: ReadonlySet<string>): Promise<string[]> {
  const active = await ask(ledger.redis, () => ledger.redis.smembers(ledger.keys.active))
  const submitters = await readAll(
    ledger,
    active.map((jobId) => ['hget', ledger.keys.job(jobId), 'key_id']),
  )
  const keys = Texts.parse(submitters)
  return active.filter((_, i) => keyIds.has(keys[i] ?? ''))
}

function unlessDamaged(error: unknown): undefined {
  if (!(error instanceof MusterError && error.code === 'job_damaged')) throw error
}

async function inState(ledger: Ledger, jobIds: string[], state: JobState | undefined): Promise<string[]> {
  if (state === undefined) return jobIds
  const states = await readAll(
    ledger,
    jobIds.map((jobId) => ['hget', ledger.keys.job(jobId), 'state']),
  )
  return jobIds.filter((_, i) => Texts.parse(states)[i] === state)
}
