/**
 * What a script hands back when it lets runs go: what a ticket for each of them is made of.
 */
import { z } from 'zod'

/** A run that may start or go on: what a script hands back for a ticket to be made of. */
export type Released = {
  readonly jobId: string
  /** The title of the job; holds no secret. */
  readonly title: string
  readonly index: number
  readonly host: string
  readonly attempt: number
  readonly resume: number
  /** Beside a ticket that a worker took and seems to have died with. Absent: no. */
  readonly isAgain?: boolean
}

const Strings = z.array(z.string()).min(1)
const FIELDS_OF_A_TICKET = 6

/** An answer of the form `{word, job ID, title, index, host, attempt, resume, job ID, title, ...}`. */
export function parseReleased(answer: unknown): { word: string; released: Released[] } {
  const [word = '', ...rest] = Strings.parse(answer)
  const released: Released[] = []
  for (let i = 0; i + FIELDS_OF_A_TICKET <= rest.length; i += FIELDS_OF_A_TICKET) {
    const [jobId = '', title = '', index, host = '', attempt, resume] = rest.slice(i, i + FIELDS_OF_A_TICKET)
    released.push({
      jobId,
      title,
      index: Number(index),
      host,
      attempt: Number(attempt),
      resume: Number(resume),
    })
  }
  return { word, released }
}
