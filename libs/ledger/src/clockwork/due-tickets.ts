/**
 * Issues the tickets that were to wait: for a retry, or for the end of a pause between batches. Redis' clock says when
 * (due.lua); every process looks, and whichever is first takes them.
 */
import { z } from 'zod'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { parseReleased } from '../tickets/released.ts'
import { issueTickets } from '../tickets/ticket.ts'
import { type Repeated, repeat } from './repeat.ts'

/** A ticket comes at most so late. One look takes Redis about 20 µs. */
const LOOK_EVERY_MS = 200
/** Tickets of one look; while there are more, the next comes at once. */
const MOST_TICKETS = 500

const Answer = z.tuple([z.coerce.number(), z.string()]).rest(z.string())

/** Starts issuing what is due. */
export function startDueTickets(ledger: Ledger, onError: (error: Error) => void): Repeated {
  const { keys, tickets } = ledger
  let seenMs: number | '' = ''
  return repeat(async () => {
    const [nowMs, untilNext, ...released] = Answer.parse(
      await runScript(ledger, 'due', { schedule: keys.due, limit: MOST_TICKETS, seenMs }),
    )
    seenMs = nowMs
    await issueTickets(tickets, parseReleased(['due', ...released]).released)
    return untilNext === '' ? LOOK_EVERY_MS : Math.min(LOOK_EVERY_MS, Number(untilNext))
  }, onError)
}
