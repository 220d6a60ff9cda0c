/**
 * Tickets: BullMQ jobs that ask a worker to carry out one attempt of one run. A ticket says where to look and nothing
 * else: no command, no secret, no output. BullMQ may deliver it twice; the claim decides (claim.lua).
 *
 * No ticket has a delay, because BullMQ would compare the clock of the process that issues it with the clock of the one
 * that fetches it. A ticket that is due later is issued later (due-tickets.ts).
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { escapeLine, JobId } from '@muster/contract'
import type { Queue } from 'bullmq'
import { z } from 'zod'
import type { Released } from './released.ts'

/** What a ticket carries. `host` is for people; the claim reads the run. */
export const Ticket = z.object({
  job_id: JobId,
  index: z.number().int().min(0),
  host: z.string(),
  attempt: z.number().int().min(1),
  /**
   * How often the ticket of this attempt was issued anew: a durable run changed hands, or the run waited for its host.
   */
  resume: z.number().int().min(0),
})
export type Ticket = z.infer<typeof Ticket>

/** Enough history for Bull Board; the ledger knows how runs ended. `age` is in seconds. */
const KEPT = { age: 24 * 3600, count: 5_000 }

/** The BullMQ ID of a ticket. BullMQ ignores an ID that it already holds, so that issuing a ticket twice makes one. */
export function ticketId(ticket: Omit<Ticket, 'host'> & Pick<Released, 'isAgain'>): string {
  const { job_id: jobId, index, attempt, resume, isAgain = false } = ticket
  return `${jobId}-${index}-${attempt}${resume === 0 ? '' : `-${resume}`}${isAgain ? '-again' : ''}`
}

/** For each queue, the tickets that go with the next round trip. */
const gathered = new WeakMap<Queue, { readonly released: Released[]; readonly issued: Promise<unknown> }>()

/**
 * Puts one ticket for each released run into the queue. Bull Board shows its host and the title of its job.
 * The tickets of one turn of the event loop go together, because many runs end at once and each releases another.
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
    // Bull Board shows the name unescaped.
    name: `${run.host}: ${escapeLine(title)}`,
    data: ticket,
    opts: { jobId: ticketId({ ...ticket, isAgain }), attempts: 1, removeOnComplete: KEPT, removeOnFail: KEPT },
  }
}
