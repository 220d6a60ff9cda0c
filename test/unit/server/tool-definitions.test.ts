/** The MCP tools as they are listed: few words, and nothing that is not so. */
import { inputOfTool, OPERATIONS, type Operation, outputOfTool, TOOL_NAMES, TOOLS, type Tool } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { INSTRUCTIONS } from '../../../apps/server/src/mcp/instructions.ts'
import { listTools } from '../../../apps/server/src/tools/tools.ts'
import { tokensOf } from '../../support/mcp/mcp-client.ts'

const listed = listTools()
const Schema = z.record(z.string(), z.unknown())
const InputSchema = z.strictObject({
  type: z.literal('object'),
  properties: z.record(z.string(), Schema),
  required: z.array(z.string()).default([]),
  additionalProperties: z.literal(false),
})
const OutputSchema = InputSchema.partial({ additionalProperties: true })

/** A schema straight from zod, with the named parts put in. */
function plainSchema(schema: z.ZodType, io: 'input' | 'output' = 'output') {
  const { $defs = {}, ...root } = Schema.parse(z.toJSONSchema(schema, { io }))
  const named = z.record(z.string(), Schema).parse($defs)
  const resolved = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(resolved)
    const part = Schema.safeParse(value)
    if (!part.success) return value
    const { $ref, ...rest } = part.data
    const own = Object.fromEntries(Object.entries(rest).map(([key, inner]) => [key, resolved(inner)]))
    return typeof $ref === 'string' ? { ...Schema.parse(resolved(named[$ref.slice('#/$defs/'.length)])), ...own } : own
  }
  const Plain = z.looseObject({
    properties: z.record(z.string(), Schema),
    required: z.array(z.string()).default([]),
  })
  return Plain.parse(resolved(root))
}

function operationOf(name: (typeof TOOL_NAMES)[number]): Operation {
  return OPERATIONS[TOOLS[name].operation]
}

test('all definitions together, and the instructions, leave an agent room to think', () => {
  const tokens = tokensOf(JSON.stringify({ tools: listed }))
  const each = listed.map((tool) => `${tool.name} ${tokensOf(JSON.stringify(tool))}`)
  console.log(`${tokens} tokens for all tools: ${each.join(', ')}; ${tokensOf(INSTRUCTIONS)} for the instructions`)
  expect(tokens).toBeLessThan(5_000)
  expect(tokensOf(INSTRUCTIONS)).toBeLessThanOrEqual(200)
})

test('the instructions name tools that there are', () => {
  const named = [...INSTRUCTIONS.matchAll(/\b[a-z]+_[a-z]+\b/g)].map(([name]) => name)
  const known: string[] = [...TOOL_NAMES, 'job_id', 'wait_s', 'idempotency_key']
  expect(named.filter((name) => !known.includes(name))).toEqual([])
  expect(named.length).toBeGreaterThan(5)
})

describe.each(TOOL_NAMES)('%s', (name) => {
  const tool = listed.find((one) => one.name === name)
  const input = InputSchema.parse(tool?.inputSchema)
  const { fields }: Tool = TOOLS[name]
  const output = outputOfTool(name)

  test('takes fields that its operation has, and all that it cannot do without', () => {
    const { shape } = operationOf(name).input
    expect(Object.keys(input.properties)).toEqual(Object.keys(fields))
    expect(Object.keys(fields).filter((field) => !Object.hasOwn(shape, field))).toEqual([])
    expect(input.required.toSorted()).toEqual(plainSchema(operationOf(name).input, 'input').required.toSorted())
  })

  test('says nothing of a field that its schema does not', () => {
    const whole = plainSchema(inputOfTool(name), 'input')
    for (const [field, { description: _words, ...schema }] of Object.entries(input.properties)) {
      expect(whole.properties[field]).toMatchObject(schema)
    }
  })

  test('has its own default and limit for wait_s alone', () => {
    const whole = plainSchema(operationOf(name).input, 'input')
    const own = plainSchema(inputOfTool(name), 'input')
    const changed = Object.keys(own.properties).filter(
      (field) => JSON.stringify(own.properties[field]) !== JSON.stringify(whole.properties[field]),
    )
    expect(Object.keys(own.properties)).toEqual(Object.keys(whole.properties))
    expect(changed.filter((field) => field !== 'wait_s')).toEqual([])
  })

  test('answers text, or an object with the members that the table says', () => {
    expect(tool?.outputSchema === undefined).toBe(output instanceof z.ZodString)
    if (tool?.outputSchema === undefined) return
    const { properties, required } = OutputSchema.parse(tool.outputSchema)
    const whole = plainSchema(output)
    expect([Object.keys(Schema.parse(properties)), required]).toEqual([Object.keys(whole.properties), whole.required])
  })

  test('gives four hints that follow from what its operation may do', () => {
    const { scope } = operationOf(name)
    const changesHosts = scope === 'jobs:run' || scope === 'jobs:cancel'
    expect(tool?.annotations).toEqual({
      readOnlyHint: !changesHosts,
      destructiveHint: changesHosts,
      // Cancelling again changes nothing more; each other change is one more.
      idempotentHint: !changesHosts || scope === 'jobs:cancel',
      openWorldHint: changesHosts || scope === 'hosts:inspect',
    })
  })

  test('is complete in itself, because not every client follows references', () => {
    expect(JSON.stringify(tool)).not.toContain('$ref')
  })
})
