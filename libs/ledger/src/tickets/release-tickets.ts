/** Issues the tickets of the runs that a script has released. */
import type { Ledger } from '../redis/open-ledger.ts'
import { parseReleased } from './released.ts'
import { issueTickets } from './ticket.ts'

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
