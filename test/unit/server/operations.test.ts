/** The operation table, REST and OpenAPI say the same. Whoever adds a field to one schema changes all of them. */
import { OPERATION_NAMES, OPERATIONS, type Operation } from '@muster/contract'
import { Validator } from '@seriousme/openapi-schema-validator'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createOpenApi } from '../../../apps/server/src/rest/openapi.ts'

const document = createOpenApi()

const Schema = z.record(z.string(), z.unknown())
const ObjectSchema = z.looseObject({
  properties: z.record(z.string(), Schema),
  required: z.array(z.string()).default([]),
})
const PathOperation = z.object({
  operationId: z.string(),
  summary: z.string(),
  parameters: z
    .array(z.object({ name: z.string(), in: z.string(), required: z.boolean(), schema: Schema }))
    .default([]),
  requestBody: z.object({ content: z.object({ 'application/json': z.object({ schema: ObjectSchema }) }) }).optional(),
  responses: z.record(z.string(), Schema),
})

/** The schema straight from zod, with named parts put in. */
function plainInput(operation: Operation) {
  const { $defs = {}, ...schema } = Schema.parse(z.toJSONSchema(operation.input, { io: 'input' }))
  const definitions = z.record(z.string(), Schema).parse($defs)
  const parsed = ObjectSchema.parse(schema)
  const resolved = ({ $ref, items, ...rest }: Record<string, unknown>): Record<string, unknown> => ({
    ...(typeof $ref === 'string' ? definitions[$ref.slice('#/$defs/'.length)] : {}),
    ...rest,
    ...(items === undefined ? {} : { items: resolved(Schema.parse(items)) }),
  })
  const properties = Object.entries(parsed.properties).map(([field, part]) => [field, withoutLimits(resolved(part))])
  return { properties: Object.fromEntries(properties), required: parsed.required }
}

/** zod gives every integer the limits of safe integers, which nobody needs to read. */
function withoutLimits(schema: Record<string, unknown>): Record<string, unknown> {
  const isNoise = ([key, value]: [string, unknown]) => key === 'maximum' && value === Number.MAX_SAFE_INTEGER
  return Object.fromEntries(Object.entries(schema).filter((entry) => !isNoise(entry)))
}

function pathOperation(operation: Operation) {
  const { path = '', method = 'GET' } = operation.rest ?? {}
  return PathOperation.parse(document.paths[path.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()])
}

const withRest = OPERATION_NAMES.filter((name) => 'rest' in OPERATIONS[name])

describe('each path of the OpenAPI document', () => {
  test.each(withRest)('of %s takes what the table says', (name) => {
    const operation: Operation = OPERATIONS[name]
    const { operationId, summary, parameters, requestBody, responses } = pathOperation(operation)
    const inBody = requestBody?.content['application/json'].schema
    const named = parameters.filter((parameter) => parameter.in !== 'header')
    const fields = [...named.map((parameter) => parameter.name), ...Object.keys(inBody?.properties ?? {})]
    const plain = plainInput(operation)
    expect([operationId, summary]).toEqual([name, operation.rest?.summary])
    expect(fields.toSorted()).toEqual(Object.keys(plain.properties).toSorted())
    const required = [
      ...named.filter((parameter) => parameter.required).map((p) => p.name),
      ...(inBody?.required ?? []),
    ]
    expect(required.toSorted()).toEqual(plain.required.toSorted())
    for (const [field, schema] of Object.entries(inBody?.properties ?? {}))
      expect(schema).toEqual(plain.properties[field])
    for (const { name: field, schema } of named) {
      const { description: _description, ...expected } = Schema.parse(plain.properties[field])
      expect(schema).toEqual(expected)
    }
    expect(Object.keys(responses).toSorted()).toEqual([String(operation.rest?.status), 'default'])
  })

  test('says how a list is given in a query', () => {
    const { parameters = [] } = z
      .object({ parameters: z.array(Schema) })
      .parse(document.paths['/v1/jobs/{job_id}/output']?.get)
    const mask = parameters.find(({ name }) => name === 'mask')
    expect(mask).toMatchObject({ in: 'query', style: 'form', explode: false, schema: { type: 'array' } })
    expect(parameters.find(({ name }) => name === 'diff')).not.toHaveProperty('explode')
  })

  test('is there for each row of the table, and for nothing else', () => {
    const count = Object.values(document.paths).flatMap((path) => Object.keys(path)).length
    expect(count).toBe(withRest.length)
  })

  test('says whether it answers once, with JSON, or with events', () => {
    const Done = z.object({ content: z.record(z.string(), z.unknown()) })
    const types = withRest.map((name) => {
      const operation: Operation = OPERATIONS[name]
      const done = pathOperation(operation).responses[String(operation.rest?.status)]
      return [name, Object.keys(Done.parse(done).content)]
    })
    const streams = types.filter(([, content]) => content?.includes('text/event-stream')).map(([name]) => name)
    expect(streams).toEqual(['follow_job'])
    expect(types.every(([, content]) => content?.length === 1)).toBe(true)
    const headers = document.paths['/v1/jobs/{job_id}/events']?.get?.parameters
    expect(headers).toContainEqual(expect.objectContaining({ name: 'Last-Event-ID', in: 'header' }))
  })

  test('belongs to a valid document of OpenAPI 3.1', async () => {
    const result = await new Validator().validate(JSON.parse(JSON.stringify(document)))
    expect(result.errors).toBeUndefined()
    expect(result.valid).toBe(true)
  })

  test('names only components that exist', () => {
    const names = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name)
    expect(names.length).toBeGreaterThan(10)
    for (const name of names) expect(document.components.schemas).toHaveProperty(name ?? '')
    expect(JSON.stringify(document)).not.toContain('#/$defs/')
  })
})
