/**
 * Flags made from the operation table: a field `exec_timeout_s` is `--exec-timeout-s`, with the field's own type,
 * description and default. This reads words into fields; the schema decides whether the values make sense.
 */
import { parseArgs } from 'node:util'
import { MusterError, type Operation, troubleInJson } from '@muster/contract'
import { z } from 'zod'

/** One flag. */
export type Flag = {
  /** As typed, without the dashes. */
  readonly name: string
  readonly field: string
  readonly kind: 'text' | 'number' | 'boolean' | 'pairs' | 'list'
  readonly description: string
  /** Undefined when there is none, or the flag is a switch that is off. */
  readonly defaultText: string | undefined
}

const Choices = z.looseObject({ enum: z.array(z.string()).optional() })

const FieldSchema = Choices.extend({
  $ref: z.string().optional(),
  type: z.string().optional(),
  anyOf: z.array(z.looseObject({ type: z.string().optional() })).default([]),
  description: z.string().optional(),
  default: z.unknown().optional(),
})

/** The flags for the fields of an input, except for those that the command line spells in another way. */
export function flagsOf(schema: Operation['input'], spelledOtherwise: readonly string[] = []): Flag[] {
  const { properties, $defs } = z
    .looseObject({
      properties: z.record(z.string(), FieldSchema),
      $defs: z.record(z.string(), Choices).default({}),
    })
    .parse(z.toJSONSchema(schema, { io: 'input' }))
  return Object.entries(properties)
    .filter(([field]) => !spelledOtherwise.includes(field))
    .map(([field, { type, anyOf, description, default: preset, $ref, enum: choices = named($defs, $ref)?.enum }]) => ({
      name: field.replaceAll('_', '-'),
      field,
      kind: kindOf([type, ...anyOf.map((one) => one.type)]),
      description: description ?? (choices === undefined ? '' : `One of ${choices.join(', ')}.`),
      // Everybody knows that a switch is off unless given.
      defaultText: preset === undefined || type === 'boolean' ? undefined : String(preset),
    }))
}

/** The schema that a reference within the document names: `#/$defs/RunState`. */
function named<T>(schemas: Record<string, T>, ref = ''): T | undefined {
  return schemas[ref.replace('#/$defs/', '')]
}

function kindOf(types: ReadonlyArray<string | undefined>): Flag['kind'] {
  if (types.includes('object')) return 'pairs'
  if (types.includes('array')) return 'list'
  if (types.includes('boolean')) return 'boolean'
  return types.includes('number') || types.includes('integer') ? 'number' : 'text'
}

/** The words of a command line: fields from flags, switches, words before `--` and words after it. */
export type CommandLine = {
  /** All of it, as typed. */
  readonly args: readonly string[]
  readonly fields: Record<string, unknown>
  readonly switches: ReadonlyMap<string, string | true>
  readonly words: readonly string[]
  /** Undefined when there was no `--`. */
  readonly afterDashes: readonly string[] | undefined
}

/** A flag of the command line's own that is no field of an operation. */
export type Switch = {
  readonly name: string
  /** One letter that stands for it. */
  readonly short?: string
  readonly takesValue: boolean
  readonly description: string
}

/**
 * Reads a command line.
 * @throws {MusterError} invalid_request for an unknown flag or a missing value, naming it
 */
export function readCommandLine(
  args: readonly string[],
  flags: readonly Flag[],
  switches: readonly Switch[],
): CommandLine {
  const dashes = args.indexOf('--')
  const before = dashes === -1 ? args : args.slice(0, dashes)
  const options = Object.fromEntries([
    ...flags.map(({ name, kind }) => [
      name,
      kind === 'boolean'
        ? { type: 'boolean' as const }
        : { type: 'string' as const, multiple: kind === 'pairs' || kind === 'list' },
    ]),
    ...switches.map(({ name, short, takesValue }) => [
      name,
      { type: takesValue ? ('string' as const) : ('boolean' as const), ...(short === undefined ? {} : { short }) },
    ]),
  ])
  const { values, positionals } = parse([...before], options)
  const given = new Map(Object.entries(values))
  const fields = Object.fromEntries(
    flags.flatMap((flag) => {
      const value = given.get(flag.name)
      return value === undefined ? [] : [[flag.field, fieldValue(flag, value)]]
    }),
  )
  const set = switches.flatMap(({ name }) => {
    const value = given.get(name)
    return value === undefined ? [] : [[name, value === true ? true : String(value)] as const]
  })
  return {
    args,
    fields,
    switches: new Map(set),
    words: positionals,
    afterDashes: dashes === -1 ? undefined : args.slice(dashes + 1),
  }
}

type Options = Record<string, { type: 'boolean' | 'string'; multiple?: boolean; short?: string }>

function parse(args: string[], options: Options) {
  const { tokens, ...parsed } = parsedBy(args, options)
  const names = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []))
  const isForOne = (name: string) => options[name]?.type === 'string' && options[name].multiple !== true
  const twice = names.find((name, i) => isForOne(name) && names.indexOf(name) < i)
  if (twice === undefined) return parsed
  throw new MusterError('invalid_request', `--${twice} takes one value, but was given more than once`)
}

function parsedBy(args: string[], options: Options) {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true, tokens: true })
  } catch (error) {
    throw new MusterError('invalid_request', `${mistakeText(error)}; muster help COMMAND lists its flags`, {
      cause: error,
    })
  }
}

/** What Node says about a flag, in our own words for a value that begins with a dash: Node calls it ambiguous. */
function mistakeText(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const [, flag] = /^Option '(?:-\w, )?(--[\w-]+)[^']*' argument is ambiguous/.exec(message) ?? []
  if (flag === undefined) return message.split('. ')[0] ?? message
  return `${flag} takes a value; one that begins with "-" is written ${flag}=…`
}

function fieldValue({ name, kind }: Flag, value: unknown): unknown {
  if (kind === 'pairs') return pairsOf(name, z.array(z.string()).parse(value))
  if (kind === 'list') return z.array(z.string()).parse(value).flatMap(elementsOf)
  return kind === 'number' ? numberOrText(String(value)) : value
}

/** The number, if the text is one; otherwise the text, such as "25%", for the schema to judge. */
export function numberOrText(text: string): number | string {
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
}

/** The elements of `75,lost`. A list may be given at once, one by one, or both. */
function elementsOf(text: string): Array<string | number> {
  return text.split(',').map((element) => numberOrText(element.trim()))
}

/** The value of a switch that takes one; undefined when it is not given. */
export function textOf({ switches }: CommandLine, name: string): string | undefined {
  const value = switches.get(name)
  return value === true ? undefined : value
}

/**
 * The value of a switch that takes a number of seconds; undefined when it is not given.
 * @throws {MusterError} invalid_request for anything else
 */
export function secondsOf({ switches }: CommandLine, name: string): number | undefined {
  const value = switches.get(name)
  if (value === undefined) return undefined
  if (/^\d+(\.\d+)?$/.test(String(value))) return Number(value)
  throw new MusterError('invalid_request', `--${name} takes a number of seconds, not "${value}"`)
}

function pairsOf(name: string, texts: readonly string[]): Record<string, string> {
  const pairs = new Map<string, string>()
  for (const text of texts) {
    const at = text.indexOf('=')
    if (at < 1) throw new MusterError('invalid_request', `--${name} takes NAME=VALUE, not ${JSON.stringify(text)}`)
    const key = text.slice(0, at)
    if (pairs.has(key)) throw new MusterError('invalid_request', `--${name} gives ${key} more than once`)
    pairs.set(key, text.slice(at + 1))
  }
  const given = Object.fromEntries(pairs)
  // What a server would refuse; the schema would drop it in silence.
  const trouble = troubleInJson(JSON.stringify(given))
  if (trouble !== undefined) throw new MusterError('invalid_request', `--${name}: ${trouble.field} ${trouble.text}`)
  return given
}
