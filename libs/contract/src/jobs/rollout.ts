/**
 * How a job goes through its hosts: how many at once, in which batches, how many may go wrong. Holds the options and
 * their limits; libs/ledger carries them out.
 */
import { z } from 'zod'
import { WordText } from '../text/command-text.ts'
import { readBy } from './readers.ts'

/** A count of hosts, or a percentage of the frozen set. */
export type CountOrPercent = number | string

/** Whatever is wrong with a value, the message names all that is accepted. */
function countOrPercent(least: 0 | 1, most: number) {
  const accepted = `expected a whole number from ${least} to ${most}, or a percentage from "${least}%" to "100%"`
  const percent = least === 0 ? /^(100|[1-9]?[0-9])%$/ : /^(100|[1-9][0-9]?)%$/
  return z.union(
    [z.number().int(accepted).min(least, accepted).max(most, accepted), z.string().regex(percent, accepted)],
    accepted,
  )
}

/** Most runs of a job at once, even if a percentage comes to more. */
export const CONCURRENCY_LIMIT = 10_000

/** `concurrency`: a count, or a percentage of the frozen set, rounded up. */
export const Concurrency = countOrPercent(1, CONCURRENCY_LIMIT)
export type Concurrency = z.infer<typeof Concurrency>

/** A user of a host, such as sudo takes. */
export const userName = z
  .string()
  .regex(/^[a-z_][a-z0-9_.-]{0,31}$/i, 'a user name has letters, digits, "_", "." and "-"')

const MaxErrors = countOrPercent(0, 1_000_000)
const BatchSize = countOrPercent(1, 1_000_000)

/** The usual limit of a health check. */
export const HEALTH_TIMEOUT_S = 30

/** What runs on each host after the command succeeded there. */
const HealthCheck = z.strictObject({
  command: WordText.min(1).max(16_384).describe('A shell command line; exit code 0 means that the host is well.'),
  timeout_s: z
    .number()
    .min(0.1)
    .max(3_600)
    .default(HEALTH_TIMEOUT_S)
    .describe('Limit for it; then it is killed, and has failed.'),
})

/** What would have forced a run that an open circuit breaker skipped: as a field, and as a flag. */
export const UNLESS_FORCED = {
  asField: 'unless the job says "force": true',
  asFlag: 'unless --force is given',
} as const

/** The rollout options of a job. Percentages are of the frozen set. */
export const rolloutOptions = {
  concurrency: Concurrency.default(50).describe('Runs in flight at once, over all workers: a number or "25%".'),
  read_only: z
    .boolean()
    .default(false)
    .describe('The command changes nothing: up to 4 such runs at once on a host, where others come one by one.'),
  host_limit: z
    .number()
    .int()
    .min(1)
    .max(50)
    .optional()
    .describe(
      'Start on a host only while fewer runs of the same kind (read_only or not) than this are in flight there. ' +
        'Unless given: 1, or 4 with read_only.',
    ),
  max_errors: MaxErrors.optional().describe(
    'How many hosts may go wrong (failed, timed_out, unreachable, lost): a number or "10%", rounded down. With one ' +
      'more, nothing more starts. "100%" unless given; 0 with batches or canary.',
  ),
  on_budget: z
    .enum(['drain', 'cancel'])
    .default('drain')
    .describe(
      'What becomes of running commands when there were too many errors: they end by themselves, or are killed.',
    ),
  batches: z
    .array(BatchSize)
    .min(1)
    .max(100)
    .optional()
    .describe(
      'Sizes of successive batches, such as 1, "10%", "50%" (rounded down, at least 1); the last repeats. A batch ' +
        'begins when the one before has ended within the budget.',
    ),
  canary: z
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Try this many hosts first, then all others: short for the batches [k, "100%"].'),
  batch_pause_s: z
    .number()
    .min(0)
    .max(7 * 24 * 3600)
    .default(0)
    .describe('Time between the end of a batch and the start of the next.'),
  gate: z
    .enum(['auto', 'manual'])
    .default('auto')
    .describe('manual: between batches the job is paused until it is resumed or cancelled, at most start_deadline_s.'),
  health_check: readBy(
    'jobs:read:output',
    HealthCheck.optional().describe(
      'Run on each host after the command succeeded there; when it fails, the host has failed.',
    ),
  ),
  force: z.boolean().default(false).describe('Also try hosts whose circuit breaker is open.'),
}

/** The rollout options a job was submitted with. */
export const RolloutOptions = z.object(rolloutOptions).meta({ id: 'RolloutOptions' })
export type RolloutOptions = z.infer<typeof RolloutOptions>

/** The error budget of a job. */
export const Budget = z
  .object({
    max_errors: z.number().int().describe('Errors that are tolerated.'),
    errors: z.number().int().describe('Hosts that failed, timed out, were unreachable or lost so far.'),
    exceeded: z.boolean().describe('Whether there was one more than tolerated, so that nothing more starts.'),
    on_budget: z.enum(['drain', 'cancel']),
  })
  .meta({ id: 'Budget' })
export type Budget = z.infer<typeof Budget>

/** The batch that a job has reached. */
export const Batch = z
  .object({
    number: z.number().int().describe('From 1.'),
    of: z.number().int().describe('How many batches there are.'),
    hosts: z.number().int().describe('Hosts in this batch.'),
    from: z.number().int().describe('Position of its first host in the frozen set, from 0.'),
    starts_at: z.iso.datetime().nullable().describe('When it starts, while a pause before it lasts; else null.'),
    paused_because: z
      .enum(['gate', 'nothing_ran'])
      .nullable()
      .describe(
        'Why the job is paused after this batch: its manual gate, or because not one host of the batch was tried, ' +
          'so that it proves nothing. Null while it is not paused.',
      ),
    paused_until: z.iso.datetime().nullable().describe('When a paused job ends by itself, its other hosts skipped.'),
  })
  .meta({ id: 'Batch' })
export type Batch = z.infer<typeof Batch>

/**
 * The count that a count or a percentage of `total` stands for; `rounded` says which way a fraction goes. It may be 0:
 * callers that need at least one take care of that.
 */
export function countOf(value: CountOrPercent, total: number, rounded: 'up' | 'down'): number {
  if (typeof value === 'number') return value
  const exact = (Number.parseInt(value, 10) * total) / 100
  return rounded === 'up' ? Math.ceil(exact) : Math.floor(exact)
}
