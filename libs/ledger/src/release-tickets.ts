/** What follows every script that may let runs go: tickets for them. */
import type { Ledger } from './open-ledger.ts'
import { parseReleased } from './scripts.ts'
import { issueTickets } from './ticket.ts'

/** Issues the tickets a script handed back, and answers its first word. The sweep issues what is lost on the way. */
export async function releaseTickets(ledger: Ledger, answer: unknown): Promise<string> {
  const { word, released } = parseReleased(answer)
  await issueTickets(ledger.tickets, released)
  return word
}
