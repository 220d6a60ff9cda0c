/**
 * The queue of tickets: BullMQ takes one for each run that may start or go on, and hands it to a worker.
 *
 * Decides nothing: the claim refuses a ticket that is delivered twice (claim.lua), and the sweep issues a ticket again
 * when its handler threw. So BullMQ itself never retries. No ticket has a delay, because BullMQ would compare the clock
 * of the process that issues it with the clock of the one that fetches it. A ticket that is due later is issued later
 * (due-tickets.ts).
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { escapeLine } from '@muster/contract'
import { type Queue, Worker } from 'bullmq'
import { TICKET_QUEUE } from '../redis/keys.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { parseReleased, type Released, Ticket } from './ticket.ts'

/** Enough history for Bull Board; the ledger knows how runs ended. `age` is in seconds. */
const KEPT = { age: 24 * 3600, count: 5_000 }

/**
 * How often BullMQ may deliver a ticket again before it fails it. At the default of 1 a reset connection is enough to
 * fail tickets of runs that never started. Here another delivery is harmless.
 */
const MAX_STALLED_COUNT = 100

/** The pause after Redis refused to give out a ticket. */
const REST_MS = 1_000

/**
 * Issues the tickets in the answer of a script, and returns the first word of the answer. The script has taken its
 * step, so a Redis that is full or away by now is no failure of it: the error goes to the `error` listener of the
 * queue, and the sweep issues what is missing.
 */
export async function releaseTickets(ledger: Ledger, answer: unknown): Promise<string> {
  const { word, released } = parseReleased(answer)
  try {
    await issueTickets(ledger.tickets, released)
  } catch (error) {
    ledger.tickets.emit('error', error instanceof Error ? error : new Error(String(error)))
  }
  return word
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
    opts: { jobId: ticketId({ isAgain, ...ticket }), attempts: 1, removeOnComplete: KEPT, removeOnFail: KEPT },
  }
}

/** The BullMQ ID of a ticket. BullMQ ignores an ID that it already holds, so that issuing a ticket twice makes one. */
export function ticketId(ticket: Omit<Ticket, 'host'> & Pick<Released, 'isAgain'>): string {
  const { job_id: jobId, index, attempt, reissue, isAgain = false } = ticket
  return `${jobId}-${index}-${attempt}${reissue === 0 ? '' : `-${reissue}`}${isAgain ? '-again' : ''}`
}

/** A process that takes tickets. */
type Consumer = {
  /** Takes no more tickets, and waits for the handlers that run, however long they take. */
  drain(): Promise<void>
  /** Closes at once, without waiting for the handlers that run. */
  close(): Promise<void>
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
