/** The call that an answer suggests next. */
import { z } from 'zod'

/** A call that an agent may make next, and why: an answer that leaves something out says how to get it. */
export const NextCall = z.object({
  why: z.string(),
  tool: z.string(),
  arguments: z.record(z.string(), z.unknown()),
})
export type NextCall = z.infer<typeof NextCall>
