/** A call of an MCP tool on a whole Muster, as an agent makes it. */
import { z } from 'zod'
import type { Stack } from '../stack/stack.ts'

const ToolAnswer = z.object({
  result: z.object({
    isError: z.boolean().default(false),
    content: z.array(z.object({ text: z.string() })).length(1),
    structuredContent: z.unknown().optional(),
  }),
})

/** Calls a tool as an agent does, of the profile if one is named. */
export async function use(stack: Stack, name: string, fields: Record<string, unknown>, profile = 'default') {
  const response = await fetch(`${stack.url}/mcp?tools=${profile}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${stack.apiKey}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: fields } }),
    signal: AbortSignal.timeout(60_000),
  })
  const text = await response.text()
  const json = text.startsWith('{') ? text : (/^data: (.*)$/m.exec(text)?.[1] ?? '')
  return ToolAnswer.parse(JSON.parse(json)).result
}
