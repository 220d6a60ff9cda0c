/**
 * What every process does beside its own work, so that jobs go on and end: it issues tickets that are due, and it
 * sweeps when it is its turn. Its own clock decides only how often it asks.
 */
import { Queue } from 'bullmq'
import type { Ledger } from '../redis/open-ledger.ts'
import { startDueTickets } from './due-tickets.ts'
import { startSweeps } from './sweep-turns.ts'

/** Starts issuing due tickets and sweeping, until `stop` is called. `onError` hears of steps that fail. */
export async function startClockwork(ledger: Ledger, onError: (error: Error) => void): Promise<{ stop(): void }> {
  // When Redis is full it cannot be removed. It does no harm: it issues tickets that nobody fetches.
  await removeOldSweep(ledger).catch(onError)
  const running = [startDueTickets(ledger, onError), startSweeps(ledger, onError)]
  return {
    stop: () => {
      for (const each of running) each.stop()
    },
  }
}

/** The queue of an older Muster, whose sweeps were scheduled by BullMQ. */
const OLD_QUEUE = 'sweep'

async function removeOldSweep({ redis, keys }: Ledger): Promise<void> {
  if ((await redis.exists(`${keys.base}:${OLD_QUEUE}:meta`)) === 0) return
  const queue = new Queue(OLD_QUEUE, { connection: redis, prefix: keys.base })
  await queue.removeJobScheduler(OLD_QUEUE)
  await queue.obliterate({ force: true })
  await queue.close()
}
