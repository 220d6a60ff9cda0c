/** What every command of `muster` is given, and the check of what it is about to send. */
import { MusterError, OPERATIONS, type OperationName, type Request } from '@muster/contract'
import type { z } from 'zod'
import type { Client } from './client.ts'
import type { Interrupts } from './follow-job.ts'
import type { ProgressStream } from './progress.ts'

/** The surroundings of a command. */
export type Cli = {
  readonly client: Client
  readonly interrupts: Interrupts
  /** Results, for programs and people. */
  readonly out: (text: string | Buffer) => void
  readonly isTerminal: boolean
  /** Everything that is said beside the result, a line each; on stderr. */
  readonly say: (line: string) => void
  readonly stderr: ProgressStream
}

/** The operation table, seen so that the type of an input follows from the name. */
const SCHEMAS: {
  readonly [N in OperationName]: { readonly input: { safeParse(given: unknown): z.ZodSafeParseResult<Request<N>> } }
} = OPERATIONS

/**
 * Checks an input before it is sent, with the server's own rules.
 * @throws {MusterError} invalid_request in the words of the command line
 */
export function checkedInput<N extends OperationName>(name: N, given: Record<string, unknown>): Request<N> {
  const parsed = SCHEMAS[name].input.safeParse(given)
  if (parsed.success) return parsed.data
  const mistakes = parsed.error.issues.map(({ path, message }) => `${spelled(path.join('.'))}: ${message}`)
  throw new MusterError('invalid_request', mistakes.join('; '))
}

/** A field as a person typed it: a word of its own, or a flag. */
function spelled(field: string): string {
  return ['job_id', 'host', 'targets', 'command'].includes(field) ? field : `--${field.replaceAll('_', '-')}`
}
