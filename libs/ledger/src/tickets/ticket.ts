/**
 * Tickets: BullMQ jobs that ask a worker to carry out one attempt of one run. A ticket says where to look and
 * nothing else: no command, no secret, no output. Delivery may happen twice; the claim decides (claim.lua).
 *
 * None has a delay: BullMQ would compare the clock of who issues it with the clock of who fetches it. What is due later
 * is issued then (due-tickets.ts).
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { escapeLine, JobId } from '@muster/contract'
import type { Queue } from 'bullmq'
import { z } from 'zod'
import type { Released } from './released.ts'

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

/** Enough history for Bull Board; the truth about old runs is in the ledger. */
const KEPT = { age: 24 * 3600, count: 5_000 }

/** BullMQ refuses ":" in an ID, and ignores an ID it already holds: issuing twice makes one ticket. */
export function ticketId(ticket: Omit<Ticket, 'host'> & Pick<Released, 'isAgain'>): string {
  const { job_id: jobId, index, attempt, resume, isAgain = false } = ticket
  return `${jobId}-${index}-${attempt}${resume === 0 ? '' : `-${resume}`}${isAgain ? '-again' : ''}`
}

/** What is to be issued with the next round trip, for each queue. */
const gathered = new WeakMap<Queue, { readonly released: Released[]; readonly issued: Promise<unknown> }>()

/**
 * Puts one ticket for each released run into the queue. Bull Board shows its host and the title of its job.
 * Those of one turn of the event loop go together: runs end side by side, and each lets one go.
 */
export async function issueTickets(queue: Queue, released: readonly Released[]): Promise<void> {
  if (released.length === 0) return
  const open = gathered.get(queue)
  if (open !== undefined) {
    open.released.push(...released)
    await open.issued
    return
  }
  const batch = [...released]
  const issued = nextTurn().then(() => {
    gathered.delete(queue)
    return queue.addBulk(batch.map(toTicket))
  })
  gathered.set(queue, { released: batch, issued })
  await issued
}

function toTicket({ title, jobId, isAgain = false, ...run }: Released) {
  const ticket: Ticket = { job_id: jobId, ...run }
  return {
    // Bull Board shows it as it is.
    name: `${run.host}: ${escapeLine(title)}`,
    data: ticket,
    opts: { jobId: ticketId({ ...ticket, isAgain }), attempts: 1, removeOnComplete: KEPT, removeOnFail: KEPT },
  }
}
