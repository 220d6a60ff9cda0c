/** What follows every script that may let runs go: tickets for them. */
import type { Ledger } from '../redis/open-ledger.ts'
import { parseReleased } from './released.ts'
import { issueTickets } from './ticket.ts'

/**
 * Issues the tickets a script handed back, and answers its first word. The step itself is taken, so a Redis that is full
 * or away by now does not make it a failure: the queue tells of that, and the sweep issues what is missing.
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
