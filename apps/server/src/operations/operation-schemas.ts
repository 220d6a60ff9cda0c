/**
 * The JSON Schemas of the operations, made from the zod schemas of the contract. OpenAPI gets named components; each
 * MCP tool gets a schema that is complete in itself, because not every client follows references.
 */
import { z } from 'zod'

/** A JSON Schema (2020-12) of any form. */
export const JsonSchema = z.record(z.string(), z.unknown())
export type JsonSchema = z.infer<typeof JsonSchema>

/** The JSON Schema of an object. */
export const ObjectSchema = z.looseObject({
  type: z.literal('object'),
  properties: z.record(z.string(), JsonSchema),
  required: z.array(z.string()).optional(),
})
export type ObjectSchema = z.infer<typeof ObjectSchema>

const Definitions = z.record(z.string(), JsonSchema)

/** The schema of an input, complete in itself. It refuses fields that it does not name. */
export const inputSchemaOf = once((input): ObjectSchema => {
  return { ...ObjectSchema.parse(inlined(input, 'input')), additionalProperties: false }
})

/** The output schema of an answer, complete in itself. */
export const outputSchemaOf = once((schema): ObjectSchema => ObjectSchema.parse(inlined(schema, 'output')))

/** The schema with references into `components` of an OpenAPI document, and those components. */
export const componentSchemaOf = once(
  (schema): { readonly schema: JsonSchema; readonly components: Readonly<Record<string, JsonSchema>> } => {
    const { schema: root, definitions } = convert(schema, 'output')
    const toComponent = (id: string) => ({ $ref: `#/components/schemas/${id}` })
    const components = Object.entries(definitions).map(([id, part]) => [id, replaceOnce(part, toComponent)])
    return { schema: replaceOnce(root, toComponent), components: Object.fromEntries(components) }
  },
)

/** Makes something of each schema once: the schemas of the contract stay, and routes, tools and profiles share them. */
function once<T extends object>(make: (schema: z.ZodType) => T): (schema: z.ZodType) => T {
  const made = new WeakMap<z.ZodType, T>()
  return (schema) => {
    const known = made.get(schema) ?? make(schema)
    made.set(schema, known)
    return known
  }
}

function inlined(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { schema: root, definitions } = convert(schema, io)
  return replaceReferences(root, (id) => definitions[id] ?? {})
}

function convert(schema: z.ZodType, io: 'input' | 'output') {
  const json = z.toJSONSchema(schema, { io, override: ({ jsonSchema }) => leaveOutNoise(jsonSchema) })
  const { $schema: _version, $defs, ...root } = JsonSchema.parse(json)
  return { schema: root, definitions: Definitions.parse($defs ?? {}) }
}

/** Drops limits that every JSON integer has, and the pattern that repeats what `format: date-time` says. */
function leaveOutNoise(schema: z.core.JSONSchema.BaseSchema): void {
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum
  if (schema.format === 'date-time') delete schema.pattern
}

/** Replaces references, also inside the replacements. It ends because no schema of the contract contains itself. */
function replaceReferences(schema: JsonSchema, replacement: (id: string) => JsonSchema): JsonSchema {
  return mapReferences(schema, (id) => replaceReferences(replacement(id), replacement))
}

function replaceOnce(schema: JsonSchema, replacement: (id: string) => JsonSchema): JsonSchema {
  return mapReferences(schema, replacement)
}

const Reference = z.looseObject({ $ref: z.string().startsWith('#/$defs/') })

function mapReferences(schema: JsonSchema, replace: (id: string) => JsonSchema): JsonSchema {
  const reference = Reference.safeParse(schema)
  if (reference.success) {
    const { $ref, ...beside } = reference.data
    return { ...replace($ref.slice('#/$defs/'.length)), ...beside }
  }
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, mapValue(value, replace)]))
}

function mapValue(value: unknown, replace: (id: string) => JsonSchema): unknown {
  if (Array.isArray(value)) return value.map((element: unknown) => mapValue(element, replace))
  const record = JsonSchema.safeParse(value)
  return record.success ? mapReferences(record.data, replace) : value
}
