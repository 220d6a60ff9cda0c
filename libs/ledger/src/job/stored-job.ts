/** A job as Redis holds it, without its counts. Only the Lua scripts write it. */
import { JobState, MusterError, Reason, TerminalRunState } from '@muster/contract'
import { z } from 'zod'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { LAST_MS } from './stored-run.ts'

const time = z.coerce.number().min(0).max(LAST_MS)
const millis = time.optional()
const bytes = z.coerce.number().int().optional()

/** No job has more hosts. Whoever reads all runs of a job makes room for as many as its record says. */
const TOTAL_LIMIT = 1_000_000

/** The fields of a job. The counts are read separately. */
export const StoredJob = z.object({
  state: JobState,
  /** Why nothing of it starts any more. */
  stop: z.string().optional(),
  title: z.string(),
  targets: z.string(),
  total: z.coerce.number().int().min(1).max(TOTAL_LIMIT),
  concurrency: z.coerce.number().int(),
  owner: z.string(),
  /** The API key that submitted it. Absent: its ID is the owner's name. */
  key_id: z.string().optional(),
  traceparent: z.string().optional(),
  /** The options as JSON. A large script or stdin is under a key of its own, and only its length is here. */
  spec: z.string(),
  script_bytes: bytes,
  stdin_bytes: bytes,
  created: time,
  /** Grows with every change that callers can see. */
  version: z.coerce.number().int().default(0),
  started: millis,
  ended: millis,
  exec_timeout_ms: z.coerce.number(),
  cancel_requested: millis,
  /** How the hosts were selected beside the target expression, as JSON. */
  selection: z.string(),
  rerun_of: z.string().optional(),
  max_errors: z.coerce.number().int(),
  on_budget: z.enum(['drain', 'cancel']),
  /** How many errors there were when the error budget was exceeded; absent while it holds. */
  tripped_at: z.coerce.number().int().optional(),
  /**
   * Sizes of the batches, such as `1,10,50`; the last repeats. Like the fields down to `paused_because`, absent without
   * batches.
   */
  batches: z.string().optional(),
  /** The present batch, from 0; where it begins and ends in the frozen set; and when the pause before it is over. */
  batch: z.coerce.number().int().default(0),
  batch_from: z.coerce.number().int().default(0),
  batch_end: z.coerce.number().int().default(0),
  batch_due: millis,
  paused_because: z.enum(['gate', 'nothing_ran']).optional(),
  start_deadline: time,
  /** Which hosts share a machine under several users (job-notices.ts). Absent: none do. */
  shared: z.string().optional(),
  /** The runs from this index on ended without ever being released: in which state, why, when, and how many. */
  rest_from: z.coerce.number().int().optional(),
  rest_state: TerminalRunState.optional(),
  rest_reason: Reason.optional(),
  rest_at: millis,
  rest_count: z.coerce.number().int().default(0),
})
export type StoredJob = z.infer<typeof StoredJob>

/**
 * The stored facts of a job. Undefined when there is no such job.
 * @throws {MusterError} job_damaged; ledger_unavailable
 */
export async function readStoredJob(ledger: Ledger, jobId: string): Promise<StoredJob | undefined> {
  const fields = await ask(ledger.redis, () => ledger.redis.hgetall(ledger.keys.job(jobId)), jobId)
  return fields.state === undefined ? undefined : await orDamaged(jobId, () => StoredJob.parse(fields))
}

/**
 * Reads something of the record of a job. A record that cannot be parsed is damaged, not a fault of ours.
 * @throws {MusterError} job_damaged instead of the error of the parser
 */
export async function orDamaged<T>(jobId: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    if (!(cause instanceof z.ZodError || cause instanceof SyntaxError)) throw cause
    const what = cause instanceof z.ZodError ? cause.issues.map(({ path }) => path.join('.')).join(', ') : cause.message
    const message = `the record of job ${jobId} in Redis cannot be read: ${what}`
    throw new MusterError('job_damaged', message, { cause, details: { job_id: jobId } })
  }
}

/** ISO 8601 in UTC; null for an event that has not happened. */
export function isoTime(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}
