/**
 * An error as the log shows it: what it is and where it came from, without the other fields that it happens to carry.
 * The errors of a Redis client carry the whole command that failed, and with it what a command printed on a host.
 */
import { shortened } from '@muster/contract'
import { z } from 'zod'

/** An error in a line of the log. */
export type LoggedError = {
  readonly type: string
  readonly message: string
  readonly stack?: string
  readonly code?: string | number
  readonly cause?: LoggedError
  /** The first of several errors that this one stands for. */
  readonly errors?: readonly LoggedError[]
}

/** The longest message and the longest stack. */
const MESSAGE_CHARS = 1_000
const STACK_CHARS = 8_000
/** An error may stand for a thousand others. */
const MOST_ERRORS = 3
/** An error may even be its own cause. */
const DEEPEST = 5

/** Redis repeats the arguments of a command that it does not know. */
const ARGUMENTS = /,? with args beginning with:.*/s

const Code = z.object({ code: z.union([z.string(), z.number()]) })
const Several = z.object({ errors: z.array(z.unknown()) })

/** What the log shows of anything that was thrown; `depth` counts the causes above it. */
export function describeError(thrown: unknown, depth = 0): LoggedError {
  if (!(thrown instanceof Error))
    return { type: typeof thrown, message: withoutArguments(String(thrown), MESSAGE_CHARS) }
  const message = withoutArguments(thrown.message, MESSAGE_CHARS)
  // A stack begins with the message.
  const stack = thrown.stack?.replace(thrown.message, () => message)
  const code = Code.safeParse(thrown)
  const described: LoggedError = {
    type: thrown.name,
    message,
    ...(stack === undefined ? {} : { stack: withoutArguments(stack, STACK_CHARS) }),
    ...(code.success ? { code: code.data.code } : {}),
  }
  if (depth === DEEPEST) return described
  const several = Several.safeParse(thrown)
  const errors = several.success ? several.data.errors.slice(0, MOST_ERRORS) : []
  return {
    ...described,
    ...(thrown.cause === undefined ? {} : { cause: describeError(thrown.cause, depth + 1) }),
    ...(errors.length === 0 ? {} : { errors: errors.map((error) => describeError(error, depth + 1)) }),
  }
}

function withoutArguments(text: string, mostChars: number): string {
  return shortened(text.replace(ARGUMENTS, ''), mostChars)
}
