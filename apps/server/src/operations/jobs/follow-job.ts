/**
 * Follows a job: yields an event whenever the job changes, or whenever one of its hosts prints, until the end.
 *
 * Each event is made only after the one before was taken, so a slow reader costs nothing and misses only states of the
 * job in between. `event-stream.ts` encodes the events.
 */
import { setTimeout } from 'node:timers/promises'
import { requireScope } from '@muster/access'
import { type Input, isTerminalJob, isTerminalRun, type JobEvent } from '@muster/contract'
import { findJob, findRun, type Ledger, listenToJob, readOutput } from '@muster/ledger'
import type { Caller } from '../call/operation.ts'
import { reportOf } from './jobs.ts'
import { getRun } from './runs.ts'

/** Most bytes of output per event. */
const PAGE_BYTES = 64 * 1024
/** The shortest time between two reads of a job that changes all the time. */
const JOB_EVERY_MS = 250
/** The time between two reads of the output of a running command: nothing signals that it grows. */
const OUTPUT_EVERY_MS = 250

/**
 * The events, which are made on demand. They stop without an `end` when the caller is gone or the server closes, and
 * throw ledger_unavailable when Redis goes away.
 * @throws {MusterError} not_found; insufficient_scope to follow a host without jobs:read:output
 */
export async function followJob(
  ledger: Ledger,
  input: Input<'follow_job'>,
  caller: Caller,
): Promise<AsyncIterable<JobEvent>> {
  const { signal } = caller
  const { job_id: jobId, host } = input
  if (host === undefined) {
    await reportOf(ledger, jobId)
    return jobEvents(ledger, jobId, signal)
  }
  requireScope(caller, 'jobs:read:output', 'following what a host prints')
  await getRun(ledger, { job_id: jobId, host })
  return outputEvents(ledger, { ...input, host }, signal)
}

/** Yields the job at once and at every change. Changes in quick succession are one event. */
async function* jobEvents(ledger: Ledger, jobId: string, signal: AbortSignal): AsyncGenerator<JobEvent> {
  const doorbell = listenToJob(ledger, jobId)
  try {
    let shown = ''
    while (!signal.aborted) {
      const nextLookMs = performance.now() + JOB_EVERY_MS
      const job = await findJob(ledger, jobId)
      if (job === undefined) return
      const text = JSON.stringify(job)
      if (text !== shown) yield { event: 'job', data: job }
      shown = text
      if (isTerminalJob(job.state)) return yield { event: 'end', data: job }
      await doorbell.ring(signal)
      await pause(nextLookMs - performance.now(), signal)
    }
  } finally {
    doorbell.remove()
  }
}

/**
 * Yields what the host prints, from `offset` on, and from 0 again when another attempt starts the command. It reads
 * the run only when there is no more output to read.
 */
async function* outputEvents(
  ledger: Ledger,
  { job_id: jobId, host, stream, offset: start, after, encoding }: Input<'follow_job'> & { host: string },
  signal: AbortSignal,
): AsyncGenerator<JobEvent> {
  const doorbell = listenToJob(ledger, jobId)
  try {
    const [seenStartMs, seenOffset] = after?.split('-').map(Number) ?? []
    let offset = seenOffset ?? start
    // An offset counts the output of one attempt, so it means nothing once another attempt has started.
    let startedAt = seenStartMs === undefined ? null : new Date(seenStartMs).toISOString()
    let hadEnded = false
    while (!signal.aborted) {
      const page = await readOutput(ledger, jobId, host, { stream, offset, limitBytes: PAGE_BYTES, encoding })
      if (page === undefined) return
      const isAnotherAttempt = startedAt !== null && page.started_at !== startedAt
      startedAt = page.started_at
      if (isAnotherAttempt && offset > 0) {
        offset = 0
        continue
      }
      if (page.data !== '') {
        yield { event: 'output', data: page }
        offset = page.next_offset
        continue
      }
      const run = await findRun(ledger, jobId, host)
      if (run === undefined) return
      // The output of a run is stored before its end, so a page read after the end is the last one.
      if (hadEnded) return yield { event: 'end', data: run }
      hadEnded = isTerminalRun(run.state)
      if (run.state === 'running') await pause(OUTPUT_EVERY_MS, signal)
      else if (!hadEnded) await doorbell.ring(signal)
    }
  } finally {
    doorbell.remove()
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // An abort is not a fault: the caller is gone.
  if (ms > 0) await setTimeout(ms, undefined, { signal }).catch(() => {})
}
