/**
 * A ticket asks a worker to carry out one attempt of one run. It says where to look and nothing else: no command, no
 * secret, no output. Scripts hand back what tickets are made of.
 */
import { JobId } from '@muster/contract'
import { z } from 'zod'
import { TICKET_FIELDS } from '../redis/script-table.ts'

/** What a ticket carries. `host` is for people; the claim reads the run. */
export const Ticket = z.object({
  job_id: JobId,
  index: z.number().int().min(0),
  host: z.string(),
  attempt: z.number().int().min(1),
  /**
   * How often the ticket of this attempt was issued again: a durable run changed hands, or the run waited for its host.
   * Absent in tickets of version 0.1.0, as none.
   */
  reissue: z.number().int().min(0).default(0),
})
export type Ticket = z.infer<typeof Ticket>

/** A run that may start or go on. */
export type Released = {
  readonly jobId: string
  /** The title of the job; holds no secret. */
  readonly title: string
  readonly index: number
  readonly host: string
  readonly attempt: number
  readonly reissue: number
  /** Whether another ticket for this attempt exists, which a worker took before it died. Absent: no. */
  readonly isAgain?: boolean
}

const Words = z.array(z.string()).min(1)
const TicketWords = z
  .object({
    job_id: z.string(),
    title: z.string(),
    index: z.coerce.number(),
    host: z.string(),
    attempt: z.coerce.number(),
    reissue: z.coerce.number(),
  })
  .transform(({ job_id: jobId, title, index, host, attempt, reissue }): Released => {
    return { jobId, title, index, host, attempt, reissue }
  })

/** Parses the answer of a script: a word, then the fields of each ticket one after another. */
export function parseReleased(answer: unknown): { word: string; released: Released[] } {
  const [word = '', ...rest] = Words.parse(answer)
  const released: Released[] = []
  for (let from = 0; from + TICKET_FIELDS.length <= rest.length; from += TICKET_FIELDS.length) {
    released.push(TicketWords.parse(Object.fromEntries(TICKET_FIELDS.map((field, i) => [field, rest[from + i]]))))
  }
  return { word, released }
}
