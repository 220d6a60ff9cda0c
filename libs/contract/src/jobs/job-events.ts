/**
 * What a caller who follows a job is sent, one event after the other: the job as it changes, or what a host prints.
 * Over REST they are server-sent events. Says nothing of when they are sent; apps/server does.
 */
import { z } from 'zod'
import { Job } from './job.ts'
import { OutputPage } from './output.ts'
import { Run } from './run.ts'

/** One event. After `end` nothing follows; a stream that closes without it was cut, and can be asked for again. */
export const JobEvent = z
  .discriminatedUnion('event', [
    z.object({ event: z.literal('job'), data: Job }),
    z.object({ event: z.literal('output'), data: OutputPage }),
    z.object({ event: z.literal('end'), data: z.union([Job, Run]).describe('The run when a host is followed.') }),
  ])
  .meta({ id: 'JobEvent' })
export type JobEvent = z.infer<typeof JobEvent>
