/**
 * Configuration from environment variables, checked once at start. One error lists every mistake.
 *
 * It never reads the process environment itself, and never shows a secret value or the content of a file.
 */
import { readFileSync } from 'node:fs'
import { MusterError } from '@muster/contract'
import { z } from 'zod'

/** Environment variables by name, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A file named by `NAME_FILE` holds one value, not a disk image. */
const FILE_LIMIT_BYTES = 64 * 1024

/**
 * The configuration that `schema` describes, with one field per variable. Fields turn text into numbers and
 * booleans themselves (`z.coerce.number()`, `z.stringbool()`); mark a secret one with `.meta({ secret: true })`.
 *
 * Each variable `NAME` may be given as `NAME_FILE`, the path of a file that holds the value (one trailing newline is
 * removed). An empty variable counts as absent. Variables that the schema does not name are ignored. The result is
 * frozen.
 * @throws {MusterError} `invalid_config` naming every variable at fault, what was received and what is accepted.
 */
export function parseConfig<S extends z.ZodObject>(schema: S, env: Environment): Readonly<z.output<S>> {
  const problems: string[] = []
  const given: Record<string, string> = {}
  const fromFile = new Set<string>()
  for (const name of Object.keys(schema.shape)) {
    const direct = env[name] || undefined
    const path = `${name}_FILE` in schema.shape ? undefined : env[`${name}_FILE`] || undefined
    if (direct !== undefined && path !== undefined) {
      problems.push(`${name}: both ${name} and ${name}_FILE are given; give one of them.`)
    }
    if (path !== undefined) fromFile.add(name)
    const value = path === undefined ? direct : readValue(name, path, problems)
    if (value !== undefined) given[name] = value
  }
  const parsed = schema.safeParse(given)
  // A variable that already has a problem is not reported a second time as missing.
  const known = new Set(problems.map((problem) => problem.slice(0, problem.indexOf(':'))))
  for (const issue of parsed.error?.issues ?? []) {
    const name = String(issue.path[0] ?? '')
    const field: unknown = schema.shape[name]
    if (!(field instanceof z.ZodType)) problems.push(issue.message)
    else if (!known.has(name)) problems.push(`${name}: ${describe(issue, field, given[name], fromFile.has(name))}`)
    known.add(name)
  }
  if (!parsed.success || problems.length > 0) {
    const lines = problems.map((problem) => `  ${problem}`).join('\n')
    throw new MusterError('invalid_config', `The configuration cannot be used:\n${lines}`)
  }
  return Object.freeze(parsed.data)
}

/** The secret values of a configuration, for the log's scrubber: those of fields with `.meta({ secret: true })`. */
export function secretsOf<S extends z.ZodObject>(schema: S, config: Readonly<z.output<S>>): string[] {
  return Object.entries(schema.shape).flatMap(([name, field]) => {
    const value: unknown = Reflect.get(config, name)
    return field instanceof z.ZodType && isSecret(field) && typeof value === 'string' ? [value] : []
  })
}

function readValue(name: string, path: string, problems: string[]): string | undefined {
  try {
    const text = readFileSync(path, 'utf8')
    if (Buffer.byteLength(text) <= FILE_LIMIT_BYTES) return text.replace(/\r?\n$/, '') || undefined
    problems.push(`${name}: the file ${path} named by ${name}_FILE is larger than ${FILE_LIMIT_BYTES} bytes.`)
  } catch (error) {
    problems.push(`${name}: the file ${path} named by ${name}_FILE cannot be read (${systemCode(error)}).`)
  }
  return undefined
}

function describe(issue: z.core.$ZodIssue, field: z.ZodType, value: string | undefined, isFromFile: boolean): string {
  const accepted = issue.code === 'custom' ? issue.message : acceptedBy(field)
  if (value === undefined) return `is not set; accepted: ${accepted}.`
  if (isFromFile) return `the value in the file is not valid; accepted: ${accepted}.`
  if (isSecret(field)) return `the value (not shown, it is a secret) is not valid; accepted: ${accepted}.`
  return `received ${JSON.stringify(value)}; accepted: ${accepted}.`
}

/** The parts of a JSON Schema that describe a single value. */
const ValueForm = z.object({
  type: z.string().optional(),
  enum: z.array(z.unknown()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  minLength: z.number().optional(),
  maxLength: z.number().optional(),
  pattern: z.string().optional(),
  format: z.string().optional(),
  description: z.string().optional(),
})

/** What a field accepts, in words: `an integer from 1 to 65535 (port to listen on)`. */
function acceptedBy(field: z.ZodType): string {
  const form = ValueForm.parse(z.toJSONSchema(field, { unrepresentable: 'any', io: 'output' }))
  const purpose = form.description === undefined ? '' : ` (${form.description.replace(/\.$/, '')})`
  return `${accepts(form)}${purpose}`
}

function accepts(form: z.infer<typeof ValueForm>): string {
  if (form.enum !== undefined) return `one of ${form.enum.join(', ')}`
  if (form.type === 'boolean') return 'true or false'
  if (form.type === 'integer' || form.type === 'number') {
    return `${form.type === 'integer' ? 'an integer' : 'a number'}${range(form.minimum, form.maximum)}`
  }
  const kind = form.format === undefined ? 'text' : `text of the form ${form.format}`
  const length = range(form.minLength, form.maxLength)
  const pattern = form.format !== undefined || form.pattern === undefined ? '' : ` matching ${form.pattern}`
  return `${kind}${pattern}${length === '' ? '' : `, its length${length}`}`
}

/** zod gives integers the range of safe integers when the schema sets none; that range is not worth telling. */
function range(from: number | undefined, to: number | undefined): string {
  const low = from === undefined || from <= Number.MIN_SAFE_INTEGER ? undefined : from
  const high = to === undefined || to >= Number.MAX_SAFE_INTEGER ? undefined : to
  if (low !== undefined && high !== undefined) return ` from ${low} to ${high}`
  if (low !== undefined) return ` of ${low} or more`
  return high === undefined ? '' : ` of ${high} or less`
}

/** Whether a field, or what it wraps (`optional`, `default`, a pipe's input), is marked as secret. */
function isSecret(field: z.core.$ZodType): boolean {
  if (z.globalRegistry.get(field)?.secret === true) return true
  if (field instanceof z.ZodOptional || field instanceof z.ZodDefault || field instanceof z.ZodPrefault) {
    return isSecret(field.def.innerType)
  }
  return field instanceof z.ZodPipe && isSecret(field.def.in)
}

function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
