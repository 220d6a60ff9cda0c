/** The OpenAPI 3.1 document, made from the operation table. What is not in the table is not in the document. */
import { ERRORS, OPERATION_NAMES, OPERATIONS, type Operation, Problem, type RestRoute } from '@muster/contract'
import { z } from 'zod'

type Json = Record<string, unknown>

/** JSON Schema of one field of an input. */
const FieldSchema = z.looseObject({ description: z.string().optional() })
const ObjectSchema = z.looseObject({
  properties: z.record(z.string(), FieldSchema),
  required: z.array(z.string()).default([]),
})

/** The document, for this version of Muster. */
export function openApiDocument(version: string) {
  const schemas: Json = {}
  const paths: Record<string, Record<string, Json>> = {}
  for (const name of OPERATION_NAMES) {
    const operation: Operation = OPERATIONS[name]
    if (operation.rest === undefined) continue
    const path = operation.rest.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = {
      ...paths[path],
      [operation.rest.method.toLowerCase()]: describe(name, operation, operation.rest, schemas),
    }
  }
  schemas['Problem'] = schemaOf(Problem, schemas)
  return {
    openapi: '3.1.0',
    info: { title: 'Muster', version, description: 'Run a shell command on one host or on ten thousand.' },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    paths,
    components: { schemas, securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'An API key.' } } },
  }
}

function describe(name: string, operation: Operation, rest: RestRoute, schemas: Json): Json {
  const input = ObjectSchema.parse(z.toJSONSchema(operation.input, { io: 'input' }))
  const inPath = [...rest.path.matchAll(/:(\w+)/g)].map(([, field = '']) => field)
  const others = Object.entries(input.properties).filter(([field]) => !inPath.includes(field))
  const parameter = (field: string, where: 'path' | 'query') => {
    const { description, ...schema } = input.properties[field] ?? {}
    const required = where === 'path' || input.required.includes(field)
    return { name: field, in: where, required, ...(description === undefined ? {} : { description }), schema }
  }
  const isGet = rest.method === 'GET'
  const query = isGet ? others.map(([field]) => parameter(field, 'query')) : []
  const properties = Object.fromEntries(others)
  const required = input.required.filter((field) => field in properties)
  const body = { type: 'object', properties, additionalProperties: false, ...(required.length > 0 ? { required } : {}) }
  return {
    operationId: name,
    summary: operation.summary,
    parameters: [...inPath.map((field) => parameter(field, 'path')), ...query],
    ...(isGet || others.length === 0
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    responses: {
      [rest.status]: {
        description: 'Success.',
        content: { 'application/json': { schema: schemaOf(operation.output, schemas) } },
      },
      default: {
        description: `A problem; its code is one of ${Object.keys(ERRORS).join(', ')}.`,
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  }
}

/** The schema of an answer; schemas with a name of their own go into the components. */
function schemaOf(schema: z.ZodType, schemas: Json): Json {
  const {
    $defs,
    $schema: _dialect,
    ...own
  } = z
    .looseObject({ $defs: z.record(z.string(), z.looseObject({})).optional() })
    .parse(relinked(z.toJSONSchema(schema, { io: 'output' })))
  for (const [id, definition] of Object.entries($defs ?? {})) {
    const { id: _id, ...rest } = definition
    schemas[id] = rest
  }
  const { id, ...rest } = own
  if (typeof id !== 'string' || id === 'Problem') return rest
  schemas[id] = rest
  return { $ref: `#/components/schemas/${id}` }
}

/** JSON Schema keeps shared definitions inside; OpenAPI keeps them for the whole document. */
function relinked(schema: unknown): unknown {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/'))
}
