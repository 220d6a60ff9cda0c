/**
 * The JSON Schemas of the MCP tools as they are listed. An agent reads all of them before it does anything, so they
 * leave out limits that every call is checked against anyway; what they do say is true. They contain no references,
 * because not every client follows them.
 */
import { inputOfTool, outputOfTool, TOOLS, type Tool, type ToolName } from '@muster/contract'
import { z } from 'zod'
import { inputSchemaOf, JsonSchema, type ObjectSchema, outputSchemaOf } from '../operations/operation-schemas.ts'

/** Keywords that are not listed; every call is checked against them all the same. */
const UNLISTED: ReadonlySet<string> = new Set([
  'pattern',
  'format',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minimum',
  'propertyNames',
])
/** A limit above this is not worth listing. */
const TOLD_LIMIT = 100_000

/** What a tool takes, and what it answers (absent when it answers text). Unlisted fields are refused. */
export function toolSchemasOf(name: ToolName): { inputSchema: ObjectSchema; outputSchema?: ObjectSchema } {
  const { fields }: Tool = TOOLS[name]
  const input = inputSchemaOf(inputOfTool(name))
  const properties = Object.entries(fields).map(([field, words]) => {
    const { description, ...given } = input.properties[field] ?? {}
    const schema = leaveOut(given)
    return [field, words === '' ? schema : { ...schema, description: words === true ? description : words }]
  })
  const required = input.required?.filter((field) => Object.hasOwn(fields, field)) ?? []
  const inputSchema = {
    type: input.type,
    properties: Object.fromEntries(properties),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  }
  const output = outputOfTool(name)
  return output instanceof z.ZodString
    ? { inputSchema }
    : { inputSchema, outputSchema: outline(outputSchemaOf(output)) }
}

/** What a tool takes and answers, with all that is said of it: for a profile of few tools. */
export function wholeSchemasOf(
  input: z.ZodType,
  output: z.ZodType,
): { inputSchema: ObjectSchema; outputSchema: ObjectSchema } {
  return { inputSchema: inputSchemaOf(input), outputSchema: outputSchemaOf(output) }
}

/** A schema without what need not be listed, and without descriptions. */
function leaveOut(schema: JsonSchema): JsonSchema {
  const entries = Object.entries(schema).flatMap(([key, value]) => {
    if (UNLISTED.has(key) || key === 'description') return []
    if (key === 'maximum' && Number(value) > TOLD_LIMIT) return []
    // An option that is off by default needs no default in the list.
    if (key === 'default' && (value === false || isEmpty(value))) return []
    if (key === 'properties') {
      const parts = Object.entries(JsonSchema.parse(value)).map(([field, part]) => [field, leaveOutOf(part)])
      return [[key, Object.fromEntries(parts)]]
    }
    return [[key, leaveOutOf(value)]]
  })
  return Object.fromEntries(entries)
}

function leaveOutOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(leaveOutOf)
  const schema = JsonSchema.safeParse(value)
  return schema.success ? leaveOut(schema.data) : value
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** Only the names and types of the members of an answer: agents read answers, they do not write them. */
function outline({ properties, required }: ObjectSchema): ObjectSchema {
  const types = Object.entries(properties).map(([field, schema]) => [field, typeOf(schema)])
  return {
    type: 'object',
    properties: Object.fromEntries(types),
    required: required ?? [],
    additionalProperties: false,
  }
}

function typeOf({ type, anyOf, items }: JsonSchema): JsonSchema {
  if (type === 'array') return { type, items: typeOf(JsonSchema.parse(items)) }
  if (type !== undefined) return { type }
  return Array.isArray(anyOf) ? { anyOf: anyOf.map((part) => typeOf(JsonSchema.parse(part))) } : {}
}
