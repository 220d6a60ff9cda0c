/** The report of a job: what runs, what went wrong, and what else is worth knowing. */
import { z } from 'zod'
import { Job, JobId, NULL_WITHOUT_READ } from './job.ts'
import { HostsByState, HostsNoticed } from './output.ts'
import { readBy } from './readers.ts'
import { RolloutOptions } from './rollout.ts'
import { NULL_WITHOUT_OUTPUT } from './run.ts'

/** A job with its command, options, problems, notices and reruns. */
export const JobReport = Job.extend({
  command: readBy(
    'jobs:read:output',
    z.string().nullable().describe(`What runs, for people to read; at most 2,000 characters. ${NULL_WITHOUT_OUTPUT}`),
  ),
  arguments: readBy(
    'jobs:read:output',
    z
      .string()
      .nullable()
      .describe('What the script is given, for people to read; at most 2,000 characters. Null without script_args.'),
  ),
  options: readBy(
    'jobs:read',
    RolloutOptions.nullable().describe(
      `The rollout options, as submitted; those without a default may be absent. ${NULL_WITHOUT_READ}`,
    ),
  ),
  problems: readBy(
    'jobs:read',
    z
      .array(HostsByState)
      .nullable()
      .describe(`Hosts that ended in any other way than success, by state, reason and cause. ${NULL_WITHOUT_READ}`),
  ),
  problems_omitted: z.number().int().describe('Hosts with problems that are not in the list above.'),
  notices: readBy(
    'jobs:read',
    z
      .array(HostsNoticed)
      .nullable()
      .describe(
        `What else to know about some hosts, such as that durable mode was not available. ${NULL_WITHOUT_READ}`,
      ),
  ),
  tripped_by: readBy(
    'jobs:read',
    z.string().nullable().describe('The hosts, folded, whose errors spent the error budget; null while it holds.'),
  ),
  reruns: readBy(
    'jobs:read',
    z
      .array(JobId)
      .nullable()
      .describe(
        `Jobs of the same owner that ran this one again on some of its hosts, oldest first. ${NULL_WITHOUT_READ}`,
      ),
  ),
}).meta({ id: 'JobReport' })
export type JobReport = z.infer<typeof JobReport>
