/**
 * Tickets: BullMQ jobs that ask a worker to carry out one attempt of one run. A ticket says where to look and
 * nothing else: no command, no secret, no output. Delivery may happen twice; the claim decides (claim.lua).
 */
import { JobId } from '@muster/contract'
import type { Queue } from 'bullmq'
import { z } from 'zod'
import type { Released } from './scripts.ts'

/** What a ticket carries. */
export const Ticket = z.object({
  job_id: JobId,
  index: z.number().int().min(0),
  host: z.string(),
  attempt: z.number().int().min(1),
  /** How often the attempt, a durable one, was handed from one worker to another. */
  resume: z.number().int().min(0),
})
export type Ticket = z.infer<typeof Ticket>

/** The queue that tickets wait in. */
export const TICKET_QUEUE = 'tickets'

/** Enough history for Bull Board; the truth about old runs is in the ledger. */
const KEPT = { age: 24 * 3600, count: 5_000 }

/** BullMQ refuses ":" in an ID, and ignores an ID it already holds: issuing twice makes one ticket. */
export function ticketId(ticket: Pick<Ticket, 'job_id' | 'index' | 'attempt' | 'resume'>): string {
  const { job_id: jobId, index, attempt, resume } = ticket
  return `${jobId}-${index}-${attempt}${resume === 0 ? '' : `-${resume}`}`
}

/** Puts one ticket for each released run into the queue. `title` is what Bull Board shows; it holds no secret. */
export async function issueTickets(
  queue: Queue,
  jobId: string,
  title: string,
  released: readonly Released[],
): Promise<void> {
  if (released.length === 0) return
  await queue.addBulk(
    released.map(({ delayMs, ...run }) => {
      const ticket: Ticket = { job_id: jobId, ...run }
      const delay = delayMs === 0 ? {} : { delay: delayMs }
      return {
        name: `${run.host}: ${title}`,
        data: ticket,
        opts: { jobId: ticketId(ticket), attempts: 1, removeOnComplete: KEPT, removeOnFail: KEPT, ...delay },
      }
    }),
  )
}
