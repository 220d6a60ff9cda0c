/**
 * Serves revisions 2024-11-05 to 2025-11-25 over HTTP, through the SDK of that generation.
 *
 * There are no sessions: every request has a server and a transport of its own, which end with it.
 */
import type { ServerResponse } from 'node:http'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { VERSION } from '@muster/contract'
import type { FastifyRequest } from 'fastify'
import { answerCall } from './answer-call.ts'
import { instructionsOf } from './instructions.ts'
import { wantsProgress } from './messages.ts'
import type { CallDeps, McpContext, McpServers, ProgressNotice } from './request.ts'

/** Answers one request: with one JSON document, or with a stream if it asks for progress. */
export async function serveLegacy(
  servers: McpServers,
  context: McpContext,
  request: FastifyRequest,
  response: ServerResponse,
): Promise<void> {
  const server = servers.legacy(context)
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: undefined,
    enableJsonResponse: servers.streams !== true && !wantsProgress(request.body),
  })
  try {
    await server.connect(transport)
    const closed = new Promise<void>((resolve) => {
      if (response.destroyed) resolve()
      else response.once('close', () => resolve())
    })
    await transport.handleRequest(request.raw, response, request.body)
    await closed
  } finally {
    await server.close()
  }
}

/** Makes the product's server for one request. */
export function createLegacyServer(deps: CallDeps, context: McpContext): Server {
  const server = new Server(
    { name: 'muster', version: VERSION },
    { capabilities: { tools: { listChanged: false } }, instructions: instructionsOf(context.profile) },
  )
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: [...deps.tools[context.profile].list(context.caller.scopes)],
  }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { signal, sendNotification }) => {
    const { name, arguments: fields = {}, _meta: meta = {} } = params
    const notify = (progress: ProgressNotice) =>
      sendNotification({ method: 'notifications/progress', params: progress })
    return { ...(await answerCall(deps, context, { name, fields, meta, signal, notify })) }
  })
  return server
}
