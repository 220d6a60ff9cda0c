/** The report of a job: what runs, what went wrong, and what else is worth knowing. */
import { z } from 'zod'
import { Job, JobId } from './job.ts'
import { HostsByState, HostsNoticed } from './output.ts'
import { RolloutOptions } from './rollout.ts'

/** A job with its command, options, problems, notices and reruns. */
export const JobReport = Job.extend({
  command: z.string().describe('What runs, for people to read; at most 2,000 characters.'),
  arguments: z
    .string()
    .nullable()
    .describe('What the script is given, for people to read; at most 2,000 characters. Null without script_args.'),
  options: RolloutOptions.describe('The rollout options, as submitted; those without a default may be absent.'),
  problems: z
    .array(HostsByState)
    .describe('Hosts that ended in any other way than success, by state, reason and cause.'),
  problems_omitted: z.number().int().describe('Hosts with problems that are not in the list above.'),
  notices: z
    .array(HostsNoticed)
    .describe('What else to know about some hosts, such as that durable mode was not available.'),
  tripped_by: z
    .string()
    .nullable()
    .describe('The hosts, folded, whose errors spent the error budget; null while it holds.'),
  reruns: z.array(JobId).describe('Jobs of the same owner that ran this one again on some of its hosts, oldest first.'),
}).meta({ id: 'JobReport' })
export type JobReport = z.infer<typeof JobReport>
