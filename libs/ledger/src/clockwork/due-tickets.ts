/**
 * Issues the tickets that had to wait, for a retry or for the end of a pause between batches. Redis' clock says when
 * they are due (due.lua). Every process looks, and the first one takes them. It also sees to the jobs that waited for
 * a place of their API key.
 */
import { z } from 'zod'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { parseReleased } from '../tickets/ticket.ts'
import { issueTickets, releaseTickets } from '../tickets/ticket-queue.ts'
import { type Repeated, repeat } from './repeat.ts'

/** A ticket is at most this late. One look takes Redis about 20 µs. */
const LOOK_EVERY_MS = 200
/** Most tickets of one look. While more are due, the next look follows at once. */
const MOST_TICKETS = 500

const Answer = z.tuple([z.coerce.number(), z.string(), z.string()]).rest(z.string())

/** Starts issuing the tickets that are due. */
export function startDueTickets(ledger: Ledger, onError: (error: Error) => void): Repeated {
  const { keys, tickets } = ledger
  let seenMs: number | '' = ''
  return repeat(async () => {
    const [nowMs, untilNext, toTend, ...released] = Answer.parse(
      await runScript(ledger, 'due', { schedule: keys.due, limit: MOST_TICKETS, seenMs }),
    )
    seenMs = nowMs
    await issueTickets(tickets, parseReleased(['due', ...released]).released)
    for (const jobId of toTend.split(' ').filter((text) => text !== '')) {
      await releaseTickets(ledger, await runScript(ledger, 'tend', { jobId }))
    }
    return untilNext === '' ? LOOK_EVERY_MS : Math.min(LOOK_EVERY_MS, Number(untilNext))
  }, onError)
}
