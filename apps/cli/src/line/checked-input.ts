/**
 * Checks an input before it is sent, by the server's own rules but in the words of the command line: which flag, what
 * is accepted, what was given. It does not repeat values that may hold a password.
 */
import { MusterError, OPERATIONS, type OperationName, PRIVATE_FIELDS, type Request, shortened } from '@muster/contract'
import { z } from 'zod'
import { connectFlagOf } from './connect-flags.ts'

/** The operation table, typed so that the name gives the type of the input. */
const SCHEMAS: {
  readonly [N in OperationName]: {
    readonly input: { safeParse(given: unknown): z.ZodSafeParseResult<Request<N>>; readonly shape: z.ZodRawShape }
  }
} = OPERATIONS

/** A longer value is cut, and its length is shown. */
const SHOWN_LIMIT_CHARS = 60
/** Fields that are words of the command line; the others are flags. */
const WORDS: ReadonlySet<string> = new Set(['job_id', 'host', 'key_id', 'targets', 'command', 'argv', 'connect'])

/**
 * The input, checked.
 * @throws {MusterError} invalid_request naming every mistake
 */
export function checkedInput<N extends OperationName>(name: N, given: Record<string, unknown>): Request<N> {
  const parsed = SCHEMAS[name].input.safeParse(given)
  if (parsed.success) return parsed.data
  const mistakes = parsed.error.issues.map((issue) => mistakeText(issue, given, SCHEMAS[name].input.shape))
  throw new MusterError('invalid_request', mistakes.join('; '))
}

/**
 * The input, checked, and without the defaults of what was not given: the server fills them in, and lowers those that
 * are more than the limits of the key allow.
 * @throws {MusterError} invalid_request naming every mistake
 */
export function checkedAsGiven<N extends OperationName>(name: N, given: Record<string, unknown>): Request<N> {
  checkedInput(name, given)
  return z.custom<Request<N>>().parse(given)
}

function mistakeText(issue: z.core.$ZodIssue, given: Record<string, unknown>, shape: z.ZodRawShape): string {
  const field = String(issue.path[0])
  const spelled = field === 'connect' ? connectFlagOf(issue.path[1]) : spelledField(field)
  const purpose = purposeOf(shape[field])
  const value = issue.path.reduce<unknown>(partOf, given)
  if (issue.code === 'invalid_type' && value === undefined) {
    return `${spelled} is missing${purpose === '' ? '' : `: ${purpose}`}`
  }
  const accepted = acceptedText(issue)
  // A rule over several fields has no single value.
  return issue.code === 'custom'
    ? `${spelled}: ${accepted}`
    : `${spelled}: ${accepted}; given ${valueText(issue.path, value)}`
}

/** A field as the command line spells it: `--exclude`, `targets`. */
export function spelledField(field: string): string {
  return WORDS.has(field) ? field : `--${field.replaceAll('_', '-')}`
}

function acceptedText(issue: z.core.$ZodIssue): string {
  // For a refused key of a record, the reason is one level down.
  const message = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
  return message
    .replace(/^Invalid (input|option): |, received \w+$/g, '')
    .replace(/expected (?=number|string)/, 'expected a ')
}

/** The description of a field, without its full stop. */
function purposeOf(field: unknown): string {
  const description = field instanceof z.ZodType ? z.globalRegistry.get(field)?.description : undefined
  return description?.replace(/\.$/, '') ?? ''
}

/** One step into the given value. */
function partOf(at: unknown, key: PropertyKey): unknown {
  return typeof at === 'object' && at !== null ? new Map(Object.entries(at)).get(String(key)) : undefined
}

function valueText(path: readonly PropertyKey[], value: unknown): string {
  const text = JSON.stringify(value)
  if (path.some((key) => PRIVATE_FIELDS.has(key)))
    return typeof value === 'string' ? `a text of ${Buffer.byteLength(value)} bytes` : typeof value
  return text.length <= SHOWN_LIMIT_CHARS ? text : `${shortened(text, SHOWN_LIMIT_CHARS)} (${text.length} characters)`
}
