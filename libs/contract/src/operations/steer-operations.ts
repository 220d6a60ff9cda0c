/** The rows of the operation table (operations.ts) that change a job on its way, or run it again. */
import { z } from 'zod'
import { JobReport } from '../jobs/job-report.ts'
import { Concurrency } from '../jobs/rollout.ts'
import { TerminalRunState } from '../jobs/run.ts'
import { areSecretsWithin, SECRETS_TOO_LONG, secretFields } from '../jobs/secrets.ts'
import { IdempotencyKey, Submit } from '../jobs/submit.ts'
import { LoginSecrets } from '../targets/connect-secrets.ts'
import { type Operation, ofJob } from './operation.ts'

/** The rows, by operation name. */
export const STEER_OPERATIONS = {
  cancel_job: {
    scope: 'jobs:cancel',
    input: z.object({
      ...ofJob,
      targets: Submit.shape.targets
        .optional()
        .describe('Cancel only on these hosts of the job; without it, all of the job.'),
    }),
    output: JobReport,
    rest: {
      method: 'POST',
      path: '/v1/jobs/:job_id/cancel',
      summary:
        'Cancel a job: what has not started never starts, what runs is killed. Cancelling twice does nothing more.',
      status: 202,
    },
  },
  extend_job: {
    scope: 'jobs:run',
    input: z.object({
      ...ofJob,
      exec_timeout_s: z
        .number()
        .min(0.1)
        .max(7 * 24 * 3600)
        .describe('The new limit, counted from when each command was sent.'),
    }),
    output: JobReport,
    rest: {
      method: 'POST',
      path: '/v1/jobs/:job_id/extend',
      summary: 'Raise the exec timeout of a job, also for commands that are running. It can only be raised.',
      status: 200,
    },
  },
  resume_job: {
    scope: 'jobs:run',
    input: z.object({
      ...ofJob,
      batch: z
        .number()
        .int()
        .min(1)
        .optional()
        .describe(
          'The batch after which the job is paused, as the job shows it: a request sent twice then opens one gate.',
        ),
    }),
    output: JobReport,
    rest: {
      method: 'POST',
      path: '/v1/jobs/:job_id/resume',
      summary: 'Let a job that is paused between two batches go on with the next.',
      status: 200,
    },
  },
  set_concurrency: {
    scope: 'jobs:run',
    input: z.object({ ...ofJob, concurrency: Concurrency.describe('A number, or a percentage of the frozen set.') }),
    output: JobReport,
    rest: {
      method: 'POST',
      path: '/v1/jobs/:job_id/concurrency',
      summary: 'Change how many runs of a job may be in flight. Nothing is stopped: with fewer, the next ones wait.',
      status: 200,
    },
  },
  rerun_job: {
    scope: 'jobs:run',
    input: z
      .object({
        ...ofJob,
        states: z
          .array(TerminalRunState)
          .min(1)
          .max(7)
          .default(['failed', 'unreachable', 'skipped'])
          .describe('Hosts on which the command may have run, or still runs, are included only when "lost" is named.'),
        ...secretFields,
        connect: LoginSecrets.optional().describe('The secrets to log in with; the rest of connect stays as it was.'),
        keep_secrets: Submit.shape.keep_secrets,
        idempotency_key: IdempotencyKey.optional(),
        wait_s: Submit.shape.wait_s,
      })
      .refine(areSecretsWithin, { message: SECRETS_TOO_LONG, path: ['secret_stdin'] }),
    output: JobReport,
    rest: {
      method: 'POST',
      path: '/v1/jobs/:job_id/rerun',
      summary:
        'Run a job again on those of its hosts that ended in the given states: a new job, with the same command and ' +
        'options. Secrets that the job has not kept are given again.',
      status: 202,
    },
  },
} as const satisfies Record<string, Operation>
