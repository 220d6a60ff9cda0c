/** What follows every script that may let runs go: tickets for them. */
import type { Ledger } from './open-ledger.ts'
import { parseReleased } from './scripts.ts'
import { issueTickets } from './ticket.ts'

/** Issues the tickets a script handed back, and answers its first word. The sweep issues what is lost on the way. */
export async function releaseTickets(ledger: Ledger, jobId: string, answer: unknown): Promise<string> {
  const { word, released } = parseReleased(answer)
  if (released.length > 0) {
    const title = await ledger.redis.hget(ledger.keys.job(jobId), 'title')
    await issueTickets(ledger.tickets, jobId, title ?? '', released)
  }
  return word
}
