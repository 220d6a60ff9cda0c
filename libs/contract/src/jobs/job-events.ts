/**
 * The events that a follower of a job receives: the job as it changes, or what a host prints. Over REST they are
 * server-sent events; apps/server decides when to send them.
 */
import { z } from 'zod'
import { Job } from './job.ts'
import { OutputPage } from './output.ts'
import { Run } from './run.ts'

/** One event. Nothing follows `end`; a stream that closes without it was cut, and can be requested again. */
export const JobEvent = z
  .discriminatedUnion('event', [
    z.object({ event: z.literal('job'), data: Job }),
    z.object({ event: z.literal('output'), data: OutputPage }),
    z.object({ event: z.literal('end'), data: z.union([Job, Run]).describe('The run when a host is followed.') }),
  ])
  .meta({ id: 'JobEvent' })
export type JobEvent = z.infer<typeof JobEvent>
