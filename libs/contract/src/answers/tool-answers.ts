/**
 * What MCP tools answer when that is shorter than the answer of their operation: counts first, then what went wrong,
 * then what was printed, then what to call next. Members that would be null or empty are left out.
 *
 * `tools/` of apps/server makes them.
 */
import { z } from 'zod'
import { JobId, JobState } from '../jobs/job.ts'
import { HostsNoticed, OutputMask } from '../jobs/output.ts'
import { Reason, RunState } from '../jobs/run.ts'
import { HostsUnavailable } from '../targets/host.ts'
import { NextCall } from './next-call.ts'

/** Counts without the states that no run is in. */
const CountsAboveZero = z.partialRecord(RunState, z.number().int())

/** Hosts on which the job went wrong in the same way. */
const ProblemRow = z.object({
  state: RunState,
  reason: Reason.optional(),
  exit_code: z.number().int().optional(),
  hosts: z.string().describe('Folded names; those that do not fit end in "…", and count is of all.'),
  count: z.number().int(),
  detail: z.string().optional(),
})

/** Hosts that ended in the same way with the same output. */
export const AnswerGroup = z.object({
  hosts: z.string().describe('Folded names; those that do not fit end in "…", and count is of all.'),
  count: z.number().int(),
  state: RunState,
  reason: Reason.optional(),
  exit_code: z.number().int().optional(),
  signal: z.string().optional(),
  is_reference: z.literal(true).optional().describe('The group that each diff compares with.'),
  stdout: z.string().optional(),
  stderr: z.string().optional(),
  diff: z
    .string()
    .optional()
    .describe('Instead of stdout and stderr: from the reference to this group; "" when equal.'),
  distinct_outputs: z.number().int().optional().describe('How many outputs differ in what was masked.'),
  shortened: z.literal(true).optional().describe('stdout, stderr or diff is not all of it.'),
  output_complete: z.literal(false).optional().describe('The command may have printed more than is known.'),
})
export type AnswerGroup = z.infer<typeof AnswerGroup>

/** What was printed, as far as it fits. */
export const AnswerOutput = z.object({
  masked: z.array(OutputMask).optional().describe('Hosts whose output differs only in these are one group.'),
  data: z.string(),
  groups: z.array(AnswerGroup),
  groups_omitted: z.number().int().optional(),
  hosts_omitted: z.number().int().optional().describe('Hosts in those groups.'),
})
export type AnswerOutput = z.infer<typeof AnswerOutput>

/** A job as tools answer it. */
export const JobAnswer = z.object({
  job_id: JobId,
  state: JobState,
  hosts: z.number().int().describe('How many.'),
  counts: CountsAboveZero,
  elapsed_s: z.number().describe('From the submit to the end, or to now.'),
  changes: z.number().int().describe('What wait_job takes as after.'),
  command: z.string().optional(),
  rerun_of: JobId.optional(),
  reruns: z.array(JobId).optional(),
  cancel_requested_at: z.iso.datetime().optional(),
  batch: z
    .object({
      number: z.number().int(),
      of: z.number().int(),
      starts_at: z.iso.datetime().optional(),
      paused_because: z.string().optional(),
      paused_until: z.iso.datetime().optional(),
    })
    .optional(),
  budget: z
    .object({
      exceeded: z.literal(true),
      max_errors: z.number().int(),
      errors: z.number().int(),
      tripped_by: z.string().optional(),
    })
    .optional()
    .describe('Only when the error budget was exceeded.'),
  problems: z.array(ProblemRow).optional(),
  problems_omitted: z.number().int().optional().describe('Hosts with problems that are not in problems.'),
  notices: z.array(HostsNoticed).optional(),
  ...AnswerOutput.partial().shape,
  next_poll_s: z.number().nullable().describe('When to look again; null when the job has ended.'),
  next: z.array(NextCall),
})
export type JobAnswer = z.infer<typeof JobAnswer>

/** A page of jobs. */
export const JobListAnswer = z.object({
  jobs: z.array(
    z.object({
      job_id: JobId,
      state: JobState,
      title: z.string(),
      targets: z.string(),
      hosts: z.number().int(),
      counts: CountsAboveZero,
      created_at: z.iso.datetime(),
    }),
  ),
  next: z.array(NextCall),
})
export type JobListAnswer = z.infer<typeof JobListAnswer>

/** A host in a list of hosts. */
const HostRow = z.object({
  name: z.string(),
  aliases: z.array(z.string()).optional(),
  address: z.string(),
  port: z.number().int().optional().describe('Unless 22.'),
  user: z.string(),
  jump: z.string().optional(),
  groups: z.array(z.string()).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  disabled: z.string().optional(),
  not_taken: z.array(z.string()).optional().describe('Options of its SSH config that are not followed.'),
})

/** A page of hosts: their names, and details of each when there are few. */
export const HostListAnswer = z.object({
  total: z.number().int(),
  shown: z.number().int(),
  names: z.string().describe('Folded names of the hosts on this page.'),
  disabled: z.string().optional().describe('Those of them, folded, on which no job runs.'),
  hosts: z.array(HostRow).optional(),
  next: z.array(NextCall),
})
export type HostListAnswer = z.infer<typeof HostListAnswer>

/** What a target expression selects. */
export const TargetsAnswer = z.object({
  count: z.number().int(),
  names: z.string().describe('Folded names; those that do not fit end in "…", and count is of all.'),
  in_order: z.array(z.string()).optional().describe('The names in the order of the job, where there are few.'),
  labels: z
    .record(z.string(), z.record(z.string(), z.number().int()))
    .optional()
    .describe('How many of the hosts have which value of which label; the most frequent.'),
  unavailable: z.array(HostsUnavailable).optional().describe('Hosts on which a job would not start.'),
  seed: z.number().int().optional(),
  next: z.array(NextCall),
})
export type TargetsAnswer = z.infer<typeof TargetsAnswer>

/** Shortest and longest time between two looks at a job, in seconds. */
const POLL_S = { least: 2, most: 30 } as const

/** Seconds to wait before looking at a job again: a quarter of its age, between 2 and 30. */
export function nextPollS(elapsedS: number): number {
  return Math.min(POLL_S.most, Math.max(POLL_S.least, Math.round(elapsedS / 4)))
}
