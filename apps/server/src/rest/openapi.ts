/** Makes the OpenAPI 3.1 document of the REST interface from the operation table. */
import {
  ERRORS,
  OPERATION_NAMES,
  OPERATIONS,
  type Operation,
  type OperationName,
  Problem,
  type RestRoute,
  VERSION,
} from '@muster/contract'
import {
  componentSchemaOf,
  inputSchemaOf,
  type JsonSchema,
  type ObjectSchema,
} from '../operations/operation-schemas.ts'

/** An OpenAPI document. */
export type OpenApiDocument = {
  openapi: '3.1.0'
  info: { title: string; version: string; description: string }
  security: Array<Record<string, string[]>>
  paths: Record<string, Record<string, JsonSchema>>
  components: { schemas: Record<string, JsonSchema>; responses: JsonSchema; securitySchemes: JsonSchema }
}

const DESCRIPTION =
  'Runs shell commands on many hosts over SSH. Submit a job, keep its job_id, and ask for its state and output. ' +
  'A command that fails on a host is a result; an error answer means that the request itself was not carried out. ' +
  'Every POST says Content-Type: application/json, also without a body.'

const EVENTS =
  'Server-sent events. The schema is that of one: its `event` is the event field, its `data` the data field, as ' +
  'JSON on one line. The ID of an "output" event is its next_offset. Close the connection after "end"; a stream ' +
  'that ends without it was cut, and goes on where Last-Event-ID or offset says.'

const LAST_EVENT_ID: JsonSchema = {
  name: 'Last-Event-ID',
  in: 'header',
  required: false,
  description: 'Only with host: the ID of the last "output" event, to go on behind it.',
  schema: { type: 'string' },
}

/** Makes the document. */
export function createOpenApi(): OpenApiDocument {
  const schemas: Record<string, JsonSchema> = { ...componentSchemaOf(Problem).components }
  const paths: OpenApiDocument['paths'] = {}
  for (const name of OPERATION_NAMES) {
    const { rest, input, output }: Operation = OPERATIONS[name]
    if (rest === undefined) continue
    const answer = componentSchemaOf(output)
    Object.assign(schemas, answer.components)
    const path = rest.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = {
      ...paths[path],
      [rest.method.toLowerCase()]: describeOperation(name, rest, inputSchemaOf(input), answer.schema),
    }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Muster', version: VERSION, description: DESCRIPTION },
    security: [{ bearer: [] }, { basic: [] }],
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1))),
      responses: { Problem: problemResponse() },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'The API key.' },
        basic: { type: 'http', scheme: 'basic', description: 'Any user name, and the API key as the password.' },
      },
    },
  }
}

function describeOperation(name: OperationName, rest: RestRoute, input: ObjectSchema, answer: JsonSchema): JsonSchema {
  const inPath = [...rest.path.matchAll(/:(\w+)/g)].map(([, field = '']) => field)
  const others = Object.keys(input.properties).filter((field) => !inPath.includes(field))
  const parameters = [
    ...inPath.map((field) => parameter(field, 'path', input)),
    ...(rest.method === 'GET' ? others.map((field) => parameter(field, 'query', input)) : []),
    ...(others.includes('idempotency_key') ? [idempotencyHeader(input)] : []),
    ...(rest.answers === 'events' ? [LAST_EVENT_ID] : []),
  ]
  const body = rest.method === 'POST' ? bodyOf(input, inPath) : undefined
  const done =
    rest.answers === 'events'
      ? { description: EVENTS, content: { 'text/event-stream': { schema: answer } } }
      : { description: 'Done as asked.', content: { 'application/json': { schema: answer } } }
  return {
    operationId: name,
    summary: rest.summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: {
      [rest.status]: done,
      default: { $ref: '#/components/responses/Problem' },
    },
  }
}

function parameter(field: string, where: 'path' | 'query', input: ObjectSchema): JsonSchema {
  const { description, ...schema } = input.properties[field] ?? {}
  const required = where === 'path' || input.required?.includes(field) === true
  // A list is given as "a,b". Repeating the field works as well, but the document can describe only one form.
  const list = where === 'query' && schema.type === 'array' ? { style: 'form', explode: false } : {}
  return { name: field, in: where, required, ...(description === undefined ? {} : { description }), ...list, schema }
}

function idempotencyHeader(input: ObjectSchema): JsonSchema {
  const { description, ...schema } = input.properties.idempotency_key ?? {}
  return {
    name: 'Idempotency-Key',
    in: 'header',
    required: false,
    description: `As idempotency_key. ${description}`,
    schema,
  }
}

function bodyOf(input: ObjectSchema, inPath: readonly string[]): JsonSchema {
  const properties = Object.fromEntries(Object.entries(input.properties).filter(([field]) => !inPath.includes(field)))
  const required = (input.required ?? []).filter((field) => !inPath.includes(field))
  const schema = { ...input, properties, ...(required.length > 0 ? { required } : { required: undefined }) }
  const { required: stated, ...rest } = schema
  const content = { 'application/json': { schema: stated === undefined ? rest : schema } }
  return { required: required.length > 0, content }
}

function problemResponse(): JsonSchema {
  const codes = Object.entries(ERRORS).map(([code, { status, meaning }]) => `- \`${code}\` (${status}): ${meaning}`)
  return {
    description: `The request was not carried out. The codes:\n\n${codes.join('\n')}`,
    headers: {
      'Retry-After': {
        description: 'With 429 and 503: seconds to wait before the next try.',
        schema: { type: 'integer' },
      },
      'X-Request-Id': { description: 'Under this ID the server logs the request.', schema: { type: 'string' } },
    },
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  }
}
