/**
 * The limits of an API key: what it may do less than its scopes allow. A key that was made by another never has wider
 * ones. libs/access computes and stores them; the operations of apps/server, the ledger and the workers enforce them.
 */
import { z } from 'zod'
import { CONCURRENCY_LIMIT, userName } from '../jobs/rollout.ts'
import { selectionFields } from '../targets/selection.ts'

/** The forms of a command that a key may be allowed to submit. */
export const CommandForm = z.enum(['argv', 'command', 'script']).meta({ id: 'CommandForm' })
export type CommandForm = z.infer<typeof CommandForm>

/** Most expressions of a key, with those of all keys above it: each is resolved at every submit. */
export const EXPRESSIONS_LIMIT = 16

const forms = z.array(CommandForm).min(1).max(3)
const users = z.array(userName).max(50)
const count = (most: number) => z.number().int().min(1).max(most)

/** The numbers that a key limits. */
const numbers = {
  max_concurrency: count(CONCURRENCY_LIMIT),
  max_hosts: count(1_000_000),
  max_exec_timeout_s: z
    .number()
    .min(1)
    .max(7 * 24 * 3600),
  max_jobs_per_hour: count(100_000),
  max_output_bytes: z
    .number()
    .int()
    .min(1_024)
    .max(16 * 1024 * 1024),
}

/** The limits that hold for a key, its own and those of the keys above it together. */
export const KeyLimits = z
  .strictObject({
    hosts: z
      .array(selectionFields.targets)
      .max(EXPRESSIONS_LIMIT)
      .describe('Target expressions, each of which must select a host that the key may touch; none: every host.'),
    forms: forms.nullable().describe('The forms of a command that it may submit; null: all.'),
    sudo_users: users.nullable().describe('The users that it may become by sudo; empty: no sudo; null: all.'),
    max_concurrency: numbers.max_concurrency
      .nullable()
      .describe('Runs in flight at once, over all jobs of the key and of the keys below it; null: no limit.'),
    max_hosts: numbers.max_hosts.nullable().describe('Hosts of a job; null: no limit.'),
    max_exec_timeout_s: numbers.max_exec_timeout_s
      .nullable()
      .describe('Longest exec timeout, and longest health check; null: no limit.'),
    max_jobs_per_hour: numbers.max_jobs_per_hour
      .nullable()
      .describe('Jobs within any hour, of the key and of the keys below it; null: no limit.'),
    max_output_bytes: numbers.max_output_bytes
      .nullable()
      .describe('Output kept per stream and run; null: no limit but that of Muster.'),
    may_force: z.boolean().describe('Whether its jobs may bypass circuit breakers.'),
    may_claim_read_only: z.boolean().describe('Whether it may say of a command that it changes nothing.'),
    may_name_hosts: z
      .boolean()
      .default(true)
      .describe('Whether its requests may name hosts that the inventory does not have, as user@host.'),
  })
  .meta({ id: 'KeyLimits' })
export type KeyLimits = z.infer<typeof KeyLimits>

/** The limits of a key that has none. */
export const NO_LIMITS: KeyLimits = {
  hosts: [],
  forms: null,
  sudo_users: null,
  max_concurrency: null,
  max_hosts: null,
  max_exec_timeout_s: null,
  max_jobs_per_hour: null,
  max_output_bytes: null,
  may_force: true,
  may_claim_read_only: true,
  may_name_hosts: true,
}

/** Whether a key has no limit at all. */
export function isUnlimited(limits: KeyLimits): boolean {
  return JSON.stringify({ ...limits, ...NO_LIMITS }) === JSON.stringify(limits)
}

/** The limits that are numbers: a smaller one is the narrower. */
export const NUMERIC_LIMITS = [
  'max_concurrency',
  'max_hosts',
  'max_exec_timeout_s',
  'max_jobs_per_hour',
  'max_output_bytes',
] as const

/** The fields that limit a new key. What is not given is as its maker has it. */
export const limitFields = {
  hosts: selectionFields.targets
    .optional()
    .describe('A target expression: it may touch no other hosts. Resolved at every submit, and by the worker.'),
  forms: forms.optional().describe('The forms of a command that it may submit: argv, command, script.'),
  no_sudo: z.boolean().default(false).describe('It may not use sudo.'),
  sudo_users: users.min(1).optional().describe('The only users that it may become by sudo.'),
  max_concurrency: numbers.max_concurrency
    .optional()
    .describe('Most runs in flight at once, over all its jobs and those of the keys below it.'),
  max_hosts: numbers.max_hosts.optional().describe('Most hosts of a job.'),
  max_exec_timeout_s: numbers.max_exec_timeout_s.optional().describe('Longest exec timeout.'),
  max_jobs_per_hour: numbers.max_jobs_per_hour
    .optional()
    .describe('Most jobs within any hour, its own and those of the keys below it.'),
  max_output_bytes: numbers.max_output_bytes.optional().describe('Most output kept per stream and run.'),
  no_force: z.boolean().default(false).describe('Its jobs may not bypass circuit breakers.'),
  no_read_only_claims: z.boolean().default(false).describe('It may not say of a command that it changes nothing.'),
  no_named_hosts: z
    .boolean()
    .default(false)
    .describe('Its requests may not name hosts that the inventory does not have, as user@host.'),
}
