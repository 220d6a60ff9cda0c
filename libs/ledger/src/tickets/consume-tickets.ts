/**
 * Takes tickets from BullMQ and hands them to a worker's handler, a number of them at a time.
 *
 * Decides nothing: the claim refuses a ticket that is delivered twice (claim.lua), and the sweep issues a ticket again
 * when its handler threw. So BullMQ itself never retries.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'bullmq'
import { TICKET_QUEUE } from '../redis/keys.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { Ticket } from './ticket.ts'

/** A process that takes tickets. */
type Consumer = {
  /** Takes no more tickets, and waits for the handlers that run, however long they take. */
  drain(): Promise<void>
  /** Closes at once, without waiting for the handlers that run. */
  close(): Promise<void>
}

/**
 * How often BullMQ may deliver a ticket again before it fails it. At the default of 1 a reset connection is enough to
 * fail tickets of runs that never started. Here another delivery is harmless.
 */
const MAX_STALLED_COUNT = 100

/** The pause after Redis refused to give out a ticket. */
const REST_MS = 1_000

/** When Redis refuses a ticket, for example because it is full, BullMQ asks again at once. This worker rests first. */
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
 * Starts taking tickets, `concurrency` at a time. `handle` resolves with a short word for Bull Board. It rejects only
 * for a fault of ours: then the ticket fails, and `onError` hears of it.
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
    // A ticket that a worker took and did not claim before it died is delivered again after this. Losing a lock is
    // harmless.
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
