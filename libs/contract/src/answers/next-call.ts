/** The call that an answer suggests next. */
import { z } from 'zod'

/** A call that leads on, and why it would be made: where an answer ends, it says how to get the rest. */
export const NextCall = z.object({
  why: z.string(),
  tool: z.string(),
  arguments: z.record(z.string(), z.unknown()),
})
export type NextCall = z.infer<typeof NextCall>
