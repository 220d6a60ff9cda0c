/** The rows of the operation table (operations.ts) that submit jobs and read them and their runs. */
import { z } from 'zod'
import { Job, JobState } from '../jobs/job.ts'
import { JobReport } from '../jobs/job-report.ts'
import { Run, RunState } from '../jobs/run.ts'
import { Submit, WAIT_LIMIT_S } from '../jobs/submit.ts'
import { SUBMIT_BODY_LIMIT_BYTES } from '../text/command-text.ts'
import { KeyOwner } from './api-key.ts'
import { cursor, limitOf, nextCursor, type Operation, ofJob, ofRun } from './operation.ts'

/** The rows, by operation name. */
export const JOB_OPERATIONS = {
  submit_job: {
    scope: 'jobs:run',
    input: Submit,
    output: JobReport,
    rest: {
      method: 'POST',
      path: '/v1/jobs',
      summary: 'Submit a command for a set of hosts; answers with the job at once.',
      status: 202,
      bodyLimitBytes: SUBMIT_BODY_LIMIT_BYTES,
    },
  },
  list_jobs: {
    scope: 'jobs:read',
    input: z.object({
      state: JobState.optional(),
      owner: KeyOwner.optional().describe('Only the jobs of this owner. Any owner but your own needs jobs:all.'),
      limit: limitOf(100, 20),
      cursor,
    }),
    output: z.object({ jobs: z.array(Job), next_cursor: nextCursor }).meta({ id: 'JobList' }),
    rest: {
      method: 'GET',
      path: '/v1/jobs',
      summary: 'List jobs, newest first: those of the owner of your key, or with jobs:all those of all owners.',
      status: 200,
    },
  },
  get_job: {
    scope: 'jobs:read',
    input: z.object({
      ...ofJob,
      wait_s: z.number().min(0).max(WAIT_LIMIT_S).default(0).describe('Longest wait.'),
      until: z
        .enum(['done', 'any_change'])
        .default('done')
        .describe('Wait for the end of the job, or for any change of its counts.'),
      after: z
        .number()
        .int()
        .min(0)
        .optional()
        .describe('Only with any_change: the changes of the answer before, so that none between two calls is missed.'),
    }),
    output: JobReport,
    rest: {
      method: 'GET',
      path: '/v1/jobs/:job_id',
      summary: 'Get a job: its state, how many hosts are in which state, and what went wrong.',
      status: 200,
    },
  },
  list_runs: {
    scope: 'jobs:read',
    input: z.object({ ...ofJob, state: RunState.optional(), limit: limitOf(1_000, 100), cursor }),
    output: z.object({ runs: z.array(Run), next_cursor: nextCursor }).meta({ id: 'RunList' }),
    rest: {
      method: 'GET',
      path: '/v1/jobs/:job_id/runs',
      summary: 'List the runs of a job, one per host, in the order of the frozen set.',
      status: 200,
    },
  },
  get_run: {
    scope: 'jobs:read',
    input: z.object(ofRun),
    output: Run,
    rest: {
      method: 'GET',
      path: '/v1/jobs/:job_id/runs/:host',
      summary: 'Get the run of a job on one host.',
      status: 200,
    },
  },
} as const satisfies Record<string, Operation>
