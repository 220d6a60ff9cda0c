/**
 * Parses target expressions: `@web,db[01-12]!db07&{env=prod}`. Terms are joined by "," "!" "&" "^" and read from left
 * to right, all with the same precedence; parentheses group.
 *
 * libs/inventory resolves what is parsed here to hosts. Whatever the text, each character is looked at a bounded
 * number of times, and names are counted before they are made.
 */
import {
  addChunk,
  type Chunk,
  countOf,
  EXPANSION_LIMIT,
  expand,
  expected,
  matchAt,
  readNumbers,
  tooMany,
} from './host-range.ts'
import { type RequestHost, requestHostAt } from './request-host.ts'

/** One step of an expression: how a term changes the hosts so far. The first is a union with no hosts. */
export type TargetStep = {
  readonly op: 'union' | 'difference' | 'intersection' | 'symmetric_difference'
  readonly term: TargetTerm
}

/** A term, which stands for hosts. `position` is where it begins in the expression, from 0. */
export type TargetTerm = { readonly position: number } & (
  | { readonly kind: 'names'; readonly names: readonly string[] }
  /** A host that the request names itself: `user@host:port`. */
  | { readonly kind: 'request_host'; readonly host: RequestHost }
  /** `*` stands for any characters, `?` for one. */
  | { readonly kind: 'wildcards'; readonly patterns: readonly string[] }
  | { readonly kind: 'group'; readonly name: string }
  | { readonly kind: 'all' }
  | { readonly kind: 'labels'; readonly conditions: readonly LabelCondition[] }
  | { readonly kind: 'parentheses'; readonly steps: readonly TargetStep[] }
)

/**
 * `key=a|b`: the label has one of the values. With `isNegated`, `key!=a|b`: it has none of them, or the host lacks
 * it.
 */
export type LabelCondition = { readonly key: string; readonly isNegated: boolean; readonly values: readonly string[] }

/** Nobody nests deeper than this, and the parser must not use up the stack. */
const DEPTH_LIMIT = 32

const NAME_LIMIT = 253

const OPERATORS: ReadonlyMap<string | undefined, TargetStep['op']> = new Map([
  [',', 'union'],
  ['!', 'difference'],
  ['&', 'intersection'],
  ['^', 'symmetric_difference'],
])

const A_TERM = 'a host, user@host, a range such as web[01-12], an @group, labels such as {env=prod} or "("'
const AN_OPERATOR = '"," "!" "&" "^"'

/** Where the parser is, how deep it is nested, and how many names it has counted. */
type Reader = { readonly text: string; at: number; depth: number; names: number }

/**
 * Parses a target expression into one or more steps.
 * @throws {MusterError} invalid_target, with `details.position` and what was expected there
 */
export function parseTargets(expression: string): TargetStep[] {
  const reader = { text: expression, at: 0, depth: 0, names: 0 }
  const steps = readSteps(reader)
  if (reader.at < expression.length) throw expected(`${AN_OPERATOR} or the end`, expression, reader.at)
  return steps
}

function readSteps(reader: Reader): TargetStep[] {
  const steps: TargetStep[] = []
  let op: TargetStep['op'] | undefined = 'union'
  while (op !== undefined) {
    skipSpace(reader)
    steps.push({ op, term: readTerm(reader) })
    skipSpace(reader)
    op = OPERATORS.get(reader.text[reader.at])
    if (op !== undefined) reader.at += 1
  }
  return steps
}

function readTerm(reader: Reader): TargetTerm {
  switch (reader.text[reader.at]) {
    case '(':
      return readParentheses(reader)
    case '@':
      return readGroup(reader)
    case '{':
      return readLabels(reader)
    default:
      refuseWithoutUser(reader)
      return readRequestHost(reader) ?? readPattern(reader)
  }
}

/** An address that no host of the inventory has as its name: with a port, or of IPv6. */
const NO_NAME = /(?:\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]|[A-Za-z0-9._-]*:[A-Za-z0-9.:]*[0-9A-Fa-f])(?::\d+)?(?![\w@/:])/y

function refuseWithoutUser({ text, at }: Reader): void {
  const address = matchAt(NO_NAME, text, at)
  if (address !== '') throw expected(`a user before such an address, as in root@${address},`, text, at)
}

function readRequestHost(reader: Reader): TargetTerm | undefined {
  const { text, at: position } = reader
  const read = requestHostAt(text, position)
  if (read === undefined) return undefined
  reader.at = read.end
  reader.names += 1
  if (reader.names > EXPANSION_LIMIT) throw tooMany(text, position)
  return { kind: 'request_host', host: read.host, position }
}

function readParentheses(reader: Reader): TargetTerm {
  const { text, at: position } = reader
  if (reader.depth === DEPTH_LIMIT) throw expected(`no more than ${DEPTH_LIMIT} open parentheses`, text, position)
  reader.depth += 1
  reader.at += 1
  const steps = readSteps(reader)
  if (text[reader.at] !== ')') throw expected(`${AN_OPERATOR} or ")"`, text, reader.at)
  reader.depth -= 1
  reader.at += 1
  return { kind: 'parentheses', steps, position }
}

function readGroup(reader: Reader): TargetTerm {
  const position = reader.at
  reader.at += 1
  if (accept(reader, '*')) return { kind: 'all', position }
  const name = take(reader, /[A-Za-z0-9][A-Za-z0-9._-]*/y)
  if (name === '') throw expected('the name of a group, or "*"', reader.text, reader.at)
  return { kind: 'group', name, position }
}

function readLabels(reader: Reader): TargetTerm {
  const position = reader.at
  const conditions: LabelCondition[] = []
  do {
    reader.at += 1
    conditions.push(readCondition(reader))
  } while (reader.text[reader.at] === ',')
  if (!accept(reader, '}')) throw expected('"," "|" or "}"', reader.text, reader.at)
  return { kind: 'labels', conditions, position }
}

function readCondition(reader: Reader): LabelCondition {
  skipSpace(reader)
  const key = take(reader, /[A-Za-z0-9][A-Za-z0-9._/-]*/y)
  if (key === '') throw expected('the name of a label', reader.text, reader.at)
  skipSpace(reader)
  const operator = take(reader, /!?=/y)
  if (operator === '') throw expected('"=" or "!="', reader.text, reader.at)
  const values: string[] = []
  do {
    skipSpace(reader)
    const value = take(reader, /[^\s,{}=!&|]+(?: +[^\s,{}=!&|]+)*/y)
    if (value === '') throw expected('the value of a label', reader.text, reader.at)
    values.push(value)
    skipSpace(reader)
  } while (accept(reader, '|'))
  return { key, isNegated: operator === '!=', values }
}

/** Reads a name, with or without ranges and wildcards. */
function readPattern(reader: Reader): TargetTerm {
  const { text, at: position } = reader
  if (!/^[A-Za-z0-9*?[]/.test(text.charAt(position))) throw expected(A_TERM, text, position)
  const chunks: Chunk[] = []
  for (;;) {
    addChunk(chunks, take(reader, /[A-Za-z0-9._*?-]*/y))
    if (text[reader.at] !== '[') break
    const { chunk, end } = readNumbers(text, reader.at)
    addChunk(chunks, chunk)
    reader.at = end
  }
  const isWildcard = chunks.some((chunk) => typeof chunk === 'string' && /[*?]/.test(chunk))
  reader.names += countOf(chunks)
  if (reader.names > EXPANSION_LIMIT) throw tooMany(text, position)
  // Checked before anything is expanded: otherwise each of 10,000 names could be as long as the whole expression.
  const literals = chunks.reduce((length, chunk) => length + (typeof chunk === 'string' ? chunk.length : 1), 0)
  const isTooLong = literals > NAME_LIMIT
  const names = isTooLong ? [] : [...new Set(expand(chunks))]
  if (isTooLong || names.some((name) => name.length > NAME_LIMIT)) {
    throw expected(`a name of at most ${NAME_LIMIT} characters`, text, position)
  }
  return isWildcard ? { kind: 'wildcards', patterns: names, position } : { kind: 'names', names, position }
}

function skipSpace(reader: Reader): void {
  take(reader, /\s*/y)
}

/** Consumes what the sticky expression matches, and returns it; "" if nothing. */
function take(reader: Reader, sticky: RegExp): string {
  const found = matchAt(sticky, reader.text, reader.at)
  reader.at += found.length
  return found
}

function accept(reader: Reader, character: string): boolean {
  const isThere = reader.text[reader.at] === character
  if (isThere) reader.at += 1
  return isThere
}
