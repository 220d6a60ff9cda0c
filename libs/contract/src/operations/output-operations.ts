/** The rows of the operation table (operations.ts) that read and follow what the hosts of a job print. */
import { z } from 'zod'
import { JobEvent } from '../jobs/job-events.ts'
import { GatheredOutput, OutputMask, OutputPage, OutputStream, PAGE_LIMIT_BYTES } from '../jobs/output.ts'
import { limitOf, type Operation, ofJob, ofRun } from './operation.ts'

const offset = z.number().int().min(0).default(0)
const encoding = z.enum(['utf8', 'base64']).default('utf8').describe('base64 is exact; utf8 replaces what is not text.')
const masks = z
  .array(OutputMask)
  .max(5)
  .default([])
  .describe('Treat as equal what differs only in: host (its name), address, time, pid, number.')

/** The rows, by operation name. */
export const OUTPUT_OPERATIONS = {
  read_output: {
    scope: 'jobs:read:output',
    input: z.object({
      ...ofRun,
      stream: OutputStream.default('stdout'),
      offset: offset.describe('First byte wanted.'),
      limit_bytes: z.number().int().min(1).max(PAGE_LIMIT_BYTES).default(65_536).describe('Most bytes wanted.'),
      encoding,
    }),
    output: OutputPage,
    rest: {
      method: 'GET',
      path: '/v1/jobs/:job_id/runs/:host/output',
      summary: 'Read a page of what a host printed, by byte offset; also while the command runs.',
      status: 200,
    },
  },
  follow_job: {
    scope: 'jobs:read',
    input: z.object({
      ...ofJob,
      host: ofRun.host.optional().describe('Follow what this host of the job prints.'),
      stream: OutputStream.default('stdout').describe('Only with host.'),
      offset: offset.describe('Only with host: first byte wanted.'),
      after: z
        .string()
        .regex(/^\d{1,15}-\d{1,15}$/, 'expected the ID of an "output" event')
        .optional()
        .describe('Only with host, instead of offset: the ID of the last "output" event seen, as Last-Event-ID is.'),
      encoding,
    }),
    output: JobEvent,
    rest: {
      method: 'GET',
      path: '/v1/jobs/:job_id/events',
      summary:
        'Follow a job: an event at every change of it, or with a host what that host prints as it comes, and an "end".',
      status: 200,
      answers: 'events',
    },
  },
  gather_output: {
    scope: 'jobs:read:output',
    input: z.object({
      ...ofJob,
      limit_bytes: z
        .number()
        .int()
        .min(0)
        .max(PAGE_LIMIT_BYTES)
        .default(16_384)
        .describe('Most bytes of each stream shown for a group.'),
      mask: masks,
      diff: z.boolean().default(false).describe('Show for each group what differs from the reference.'),
      groups_limit: limitOf(100, 100).describe('Most groups shown; ten thousand different outputs are no overview.'),
    }),
    output: GatheredOutput,
    rest: {
      method: 'GET',
      path: '/v1/jobs/:job_id/output',
      summary: 'Get the output of all hosts of a job; hosts with the same result are one group.',
      status: 200,
    },
  },
  get_output: {
    scope: 'jobs:read:output',
    input: z
      .object({
        ...ofJob,
        host: ofRun.host.optional(),
        /** Without it: stdout, or both with grep. */
        stream: OutputStream.optional(),
        cursor: z
          .string()
          .min(1)
          .max(100)
          .optional()
          .describe('next_cursor of an answer: goes on there, also while the command runs'),
        tail: z.number().int().min(1).max(10_000).optional().describe('Last lines of a host; with grep, last matches'),
        grep: z
          .string()
          .min(1)
          .max(500)
          .optional()
          .describe('RE2; only matching lines, of a host or of each different output'),
        mask: masks.describe('Without host: ignore these differences'),
        diff: z.boolean().default(true).describe('Without host: show what differs from the first group'),
        max_chars: z.number().int().min(200).max(24_000).default(8_000),
      })
      .refine(({ host, cursor }) => host !== undefined || cursor === undefined, {
        message: 'a cursor continues the output of one host: give host too',
        path: ['cursor'],
      })
      .refine(({ host, tail }) => host !== undefined || tail === undefined, {
        message: 'tail gives the last lines of one host: give host too',
        path: ['tail'],
      })
      .refine(({ tail, cursor }) => tail === undefined || cursor === undefined, {
        message: 'tail counts from the end and a cursor continues from a position: give one of them',
        path: ['tail'],
      }),
    output: z.string(),
  },
} as const satisfies Record<string, Operation>
