/**
 * Turns the fields of a call into the input of an operation, or refuses them and names every problem: the field, what
 * was received, what is accepted.
 *
 * It knows the fields from their schemas only. Values that may be secret or long are described, not repeated.
 */
import { type ErrorDetails, firstChars, MusterError, PRIVATE_FIELDS, shortened } from '@muster/contract'
import { nearest, nearestHint } from '@muster/inventory'
import { z } from 'zod'

/** The schema of an operation's input. */
export type InputSchema<T> = z.ZodType<T> & { readonly shape: z.ZodRawShape }

/** Fields by name, unchecked. */
export type Fields = Readonly<Record<string, unknown>>

/** Longer values are cut, and described by their length. */
const SHOWN_LIMIT_CHARS = 60
/** Most problems named in a refusal; a request with more is no typing mistake. */
const PROBLEMS_LIMIT = 20

type Trouble = { field: string; text: string; nearest?: string[] }

/**
 * Returns the input, with defaults filled in.
 * @throws {MusterError} invalid_request, naming all problems; `details.field` is the field of the first
 */
export function parseInput<T>(schema: InputSchema<T>, given: Fields): T {
  const unknown = Object.keys(given).filter((field) => !Object.hasOwn(schema.shape, field))
  const parsed = schema.safeParse(given)
  if (parsed.success && unknown.length === 0) return parsed.data
  const known = Object.keys(schema.shape)
  // Only those that are named are put into words: finding similar names for thousands would hold up everybody else.
  const named = unknown.slice(0, PROBLEMS_LIMIT).map((field) => unknownField(field, known))
  let count = unknown.length
  for (const issue of parsed.error?.issues ?? []) {
    const left = PROBLEMS_LIMIT - named.length
    if (left > 0) named.push(...describe(issue, given, schema.shape, left))
    count += issue.code === 'unrecognized_keys' ? issue.keys.length : 1
  }
  throw refusal(named, count)
}

/**
 * Refuses fields that are not among `known`, and names similar ones.
 * @throws {MusterError} invalid_request
 */
export function refuseUnknown(given: Fields, known: readonly string[]): void {
  const isKnown = new Set(known)
  const unknown = Object.keys(given).filter((field) => !isKnown.has(field))
  if (unknown.length === 0) return
  const named = unknown.slice(0, PROBLEMS_LIMIT).map((field) => unknownField(field, known))
  throw refusal(named, unknown.length)
}

/**
 * Gathers the fields of a REST call: from the path, and from the query of a GET or the JSON body of a POST. Text of the
 * query becomes a number or boolean if the field is one, and a list, given as `a,b` or by repeating the field, if it is
 * one.
 * @throws {MusterError} invalid_request for a field given twice or in the wrong part, or a body that is no object
 */
export function gatherFields(
  shape: z.ZodRawShape,
  from: { method: 'GET' | 'POST'; path: unknown; query: unknown; body: unknown },
): Fields {
  const path = isFields(from.path) ? from.path : {}
  const query = isFields(from.query) ? from.query : {}
  if (from.method === 'POST') {
    const [stray] = Object.keys(query)
    if (stray !== undefined) throw misplaced(stray, 'a POST takes its fields in the JSON body, not in the query')
  }
  const body = from.body === undefined ? {} : from.body
  if (from.method === 'POST' && (!isFields(body) || Array.isArray(body))) {
    const received = body === null ? 'null' : Array.isArray(body) ? 'an array' : `a ${typeof body}`
    const message = `the body is ${received}; accepted: a JSON object with the fields of the request`
    throw new MusterError('invalid_request', message)
  }
  const rest = from.method === 'POST' && isFields(body) ? body : fromText(query, shape)
  const twice = Object.keys(path).find((field) => Object.hasOwn(rest, field))
  if (twice !== undefined) throw misplaced(twice, 'it is given by the path, so leave it out elsewhere')
  // Spread copies a field named __proto__ as a plain field, which is then refused as an unknown one.
  return { ...rest, ...path }
}

function fromText(query: Fields, shape: z.ZodRawShape): Fields {
  return Object.fromEntries(
    Object.entries(query).map(([field, text]) => {
      const isList = withoutDefault(shape[field]) instanceof z.ZodArray
      if (isList) return [field, [text].flat().flatMap(elementsOf)]
      if (Array.isArray(text)) throw misplaced(field, `it is given ${text.length} times; give it once`)
      return [field, typeof text === 'string' ? valueOfText(text, shape[field]) : text]
    }),
  )
}

function elementsOf(text: unknown): unknown[] {
  if (typeof text !== 'string') return [text]
  return text === '' ? [] : text.split(',')
}

function withoutDefault(field: unknown): unknown {
  if (field instanceof z.ZodOptional || field instanceof z.ZodDefault) return withoutDefault(field.def.innerType)
  return field
}

/**
 * The number or boolean that a text stands for, where its field is one. What is no number stays text, so that the
 * schema refuses it and names what was received.
 */
export function valueOfText(text: string, schema: unknown): unknown {
  const field = withoutDefault(schema)
  if (field instanceof z.ZodNumber && /^-?\d+(\.\d+)?$/.test(text)) return Number(text)
  if (field instanceof z.ZodBoolean && /^(true|false)$/.test(text)) return text === 'true'
  return text
}

function unknownField(field: string, known: readonly string[], within = ''): Trouble {
  const close = nearest(field, known)
  const hint = close.length > 0 ? nearestHint(close).replace(/\?$/, '') : `; the fields are ${known.join(', ')}`
  return {
    field: `${within}${shortened(field, SHOWN_LIMIT_CHARS)}`,
    text: `there is no such field${hint}`,
    nearest: close,
  }
}

/** The names of the fields that an object at this path may have. */
function fieldsAt(path: readonly PropertyKey[], shape: z.ZodRawShape): string[] {
  const [first, ...rest] = path
  if (first === undefined) return Object.keys(shape)
  const inner = withoutDefault(shape[String(first)])
  return inner instanceof z.ZodObject ? fieldsAt(rest, inner.shape) : []
}

/** An issue in words: one trouble, or up to `most` for the unknown fields of one object. */
function describe(issue: z.core.$ZodIssue, given: Fields, shape: z.ZodRawShape, most: number): Trouble[] {
  const top = String(issue.path[0])
  // What is no name of a secret variable may be its value.
  const told = top === 'secret_env' && issue.code === 'invalid_key' ? [top] : issue.path
  const field = told.map((part) => shortened(String(part), SHOWN_LIMIT_CHARS)).join('.')
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsAt(issue.path, shape)
    return issue.keys.slice(0, most).map((key) => unknownField(key, known, `${field}.`))
  }
  const value = issue.path.reduce<unknown>((at, key) => (isFields(at) ? at[String(key)] : undefined), given)
  const purpose = purposeOf(shape[top])
  const message = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
  const accepted = message.replace(/^Invalid input: |, received \w+$/g, '')
  if (issue.code === 'invalid_type' && value === undefined) {
    return [{ field, text: `is missing; ${accepted}${purpose === '' ? '' : ` (${purpose})`}` }]
  }
  // A rule over several fields has no single value to show. Values of private fields are not repeated, and neither is a
  // command line given instead of the object in which it belongs.
  const isMisplacedText =
    (top === 'health_check' && typeof value !== 'number') || (top === 'connect' && issue.path.length === 1)
  const isPrivate = issue.code === 'custom' || issue.path.some((key) => PRIVATE_FIELDS.has(key)) || isMisplacedText
  const received = isPrivate ? describePrivate(value) : `; received ${show(value)}`
  return [{ field, text: `${accepted}${received}` }]
}

function purposeOf(field: unknown): string {
  const description = field instanceof z.ZodType ? z.globalRegistry.get(field)?.description : undefined
  return description?.replace(/\.$/, '') ?? ''
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}

function describePrivate(value: unknown): string {
  if (typeof value === 'string') return `; received a text of ${Buffer.byteLength(value)} bytes`
  return value === undefined ? '' : `; received ${Array.isArray(value) ? 'an array' : typeof value}`
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string' && value.length > SHOWN_LIMIT_CHARS) {
    const beginning = JSON.stringify(firstChars(value, SHOWN_LIMIT_CHARS))
    return `${shortened(beginning, SHOWN_LIMIT_CHARS)} (${value.length} characters)`
  }
  // Texts within it are cut before it is written: it may be large.
  const text = JSON.stringify(value, (_name, part) =>
    typeof part === 'string' ? shortened(part, SHOWN_LIMIT_CHARS) : part,
  )
  const count = Array.isArray(value) ? ` (${value.length} elements)` : ''
  return text.length <= SHOWN_LIMIT_CHARS ? text : `${shortened(text, SHOWN_LIMIT_CHARS)}${count}`
}

/** The refusal of a call with `count` troubles, of which the first are described. */
function refusal(troubles: readonly Trouble[], count: number): MusterError {
  const [first] = troubles
  const shown = troubles.map(({ field, text }) => (field === '' ? text : `${field}: ${text}`))
  const rest = count - shown.length
  const details: ErrorDetails = {
    ...(first === undefined || first.field === '' ? {} : { field: first.field }),
    ...(first?.nearest === undefined || first.nearest.length === 0 ? {} : { nearest: first.nearest }),
  }
  return new MusterError('invalid_request', `${shown.join('. ')}${rest > 0 ? `. And ${rest} more problems` : ''}`, {
    details,
  })
}

function misplaced(field: string, why: string): MusterError {
  return new MusterError('invalid_request', `${shortened(field, SHOWN_LIMIT_CHARS)}: ${why}`, {
    details: { field: shortened(field, SHOWN_LIMIT_CHARS) },
  })
}
