/**
 * Takes tickets from BullMQ and hands them to a worker's handler, so many at a time.
 *
 * Decides nothing: a ticket delivered twice is told apart by the claim (claim.lua), and a ticket whose handler threw
 * is issued again by the sweep. So BullMQ itself never retries.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'bullmq'
import { TICKET_QUEUE } from '../redis/keys.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { Ticket } from './ticket.ts'

/** A process that takes tickets. */
export type Consumer = {
  /** Takes no more tickets, and waits for those at hand; without a limit of its own. */
  drain(): Promise<void>
  /** Lets go of everything at once. */
  close(): Promise<void>
}

/**
 * With the default of 1, BullMQ fails tickets of runs that never started when connections are reset (facts/bullmq.md,
 * section 4). Delivery after delivery is harmless here.
 */
const MAX_STALLED_COUNT = 100

/** After a ticket that Redis refused. */
const REST_MS = 1_000

/** BullMQ asks for a ticket again at once where Redis refuses it one, as when it is full: this one rests first. */
class RestingWorker extends Worker<unknown, string> {
  protected override async moveToActive(token: string, name?: string) {
    try {
      return await super.moveToActive(token, name)
    } catch (error) {
      await sleep(REST_MS)
      throw error
    }
  }
}

/**
 * Starts taking tickets, `concurrency` at a time. `handle` resolves with a short word for Bull Board; when it rejects,
 * that is a fault of ours and the ticket fails.
 */
export function consumeTickets(
  ledger: Ledger,
  options: {
    concurrency: number
    handle: (ticket: Ticket) => Promise<string>
    onError: (error: Error) => void
  },
): Consumer {
  const connection = ledger.connectBlocking()
  const worker = new RestingWorker(TICKET_QUEUE, (job) => options.handle(Ticket.parse(job.data)), {
    connection,
    prefix: ledger.keys.base,
    concurrency: options.concurrency,
    // A ticket that a dead worker took and never claimed is delivered again so soon. A lock that is lost does no harm.
    lockDuration: 20_000,
    stalledInterval: 5_000,
    maxStalledCount: MAX_STALLED_COUNT,
  })
  worker.on('error', options.onError)
  worker.on('failed', (_job, error) => options.onError(error))
  let closing: Promise<void> | undefined
  return {
    drain: () => worker.pause(),
    close: () => {
      closing ??= worker.close(true).then(() => connection.disconnect())
      return closing
    },
  }
}
