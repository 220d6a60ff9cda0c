/** An MCP client for a test: the SDK's own, over real HTTP, with a server of its own; closed when the test ends. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { encode } from 'gpt-tokenizer/encoding/o200k_base'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { startTestServer } from '../server/server.ts'

const ToolResult = z.object({
  isError: z.boolean().default(false),
  content: z.array(z.object({ type: z.literal('text'), text: z.string() })).length(1),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
})

/** Connects a client to a server without workers. `use` calls a tool. */
export async function connectClient(options: Parameters<typeof startTestServer>[0] = {}) {
  const server = await startTestServer(options)
  const client = new Client({ name: 'test', version: '0' })
  const transport = new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`), {
    requestInit: { headers: { authorization: `Bearer ${server.key}` } },
  })
  await client.connect(transport)
  onTestFinished(() => client.close())
  // The client checks structured answers against the output schemas that it was told of.
  const { tools } = await client.listTools()
  const use = async (name: string, fields: Record<string, unknown> = {}) => {
    const { isError, content, structuredContent } = ToolResult.parse(await client.callTool({ name, arguments: fields }))
    const [{ text } = { text: '' }] = content
    return { isError, text, structured: structuredContent }
  }
  return { ...server, client, tools, use }
}

/** What a text costs a language model of today. */
export function tokensOf(text: string): number {
  return encode(text).length
}
