/** A job as every surface shows it: its ID, where it stands, and how many of its runs are in each state. */
import { z } from 'zod'
import { Selection } from '../targets/selection.ts'
import { readBy } from './readers.ts'
import { Batch, Budget } from './rollout.ts'
import { RunState } from './run.ts'

/** A job ID: `job_` and 128 random bits in base 32. */
export const JobId = z
  .string()
  .regex(/^job_[a-z2-7]{26}$/, 'a job ID looks like job_ and 26 letters and digits')
  .describe('The job ID.')
export type JobId = z.infer<typeof JobId>

/** Where a job stands. */
export const JobState = z
  .enum(['queued', 'running', 'paused', 'cancelling', 'succeeded', 'partial', 'failed', 'cancelled'])
  .meta({ id: 'JobState' })
export type JobState = z.infer<typeof JobState>

const TERMINAL: ReadonlySet<JobState> = new Set<JobState>(['succeeded', 'partial', 'failed', 'cancelled'])

/** Whether a job in this state has ended. */
export function isTerminalJob(state: JobState): boolean {
  return TERMINAL.has(state)
}

/** How many runs are in each state, 0 included; the sum is `total`. */
export const Counts = z.record(RunState, z.number().int()).meta({ id: 'Counts' })
export type Counts = z.infer<typeof Counts>

/** What the schema says of a field that a caller without jobs:read gets as null. */
export const NULL_WITHOUT_READ = 'Null to a key without jobs:read.'

/** A job as every surface shows it. */
export const Job = z
  .object({
    job_id: JobId,
    state: JobState,
    title: readBy('jobs:read', z.string().nullable().describe(`What it is called in lists. ${NULL_WITHOUT_READ}`)),
    targets: readBy(
      'jobs:read',
      z.string().nullable().describe(`The target expression as it was given. ${NULL_WITHOUT_READ}`),
    ),
    selection: readBy('jobs:read', Selection.nullable()),
    rerun_of: readBy(
      'jobs:read',
      JobId.nullable().describe('The job whose hosts this one runs on again; null for any other.'),
    ),
    total: z.number().int().describe('Hosts in the frozen set.'),
    counts: Counts,
    changes: z.number().int().describe('Grows with every change of the job that can be seen here.'),
    concurrency: z.number().int().describe('Runs in flight at once.'),
    budget: Budget,
    batch: Batch.nullable().describe('Null for a job without batches.'),
    exec_timeout_s: z.number().describe('The present limit for a command; it may have been raised since the submit.'),
    owner: z.string().describe('Whose job it is: the owner of the API key that submitted it.'),
    submitted_by: z.string().describe('ID of the API key.'),
    traceparent: readBy(
      'jobs:read',
      z.string().nullable().describe('W3C trace context that came with the submit; null without one.'),
    ),
    created_at: z.iso.datetime(),
    started_at: z.iso.datetime().nullable(),
    ended_at: z.iso.datetime().nullable(),
    cancel_requested_at: z.iso.datetime().nullable().describe('When the whole job was cancelled.'),
    links: z.object({ self: z.string(), runs: z.string(), output: z.string(), events: z.string() }),
  })
  .meta({ id: 'Job' })
export type Job = z.infer<typeof Job>
