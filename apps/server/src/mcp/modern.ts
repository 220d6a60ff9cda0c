/**
 * Serves revision 2026-07-28 over HTTP, through the SDK of that generation.
 *
 * Each request has a server of its own. Requests of older revisions are refused here; `endpoint.ts` sends them to
 * `legacy.ts`.
 */
import type { ServerResponse } from 'node:http'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, Server } from '@modelcontextprotocol/server'
import { VERSION } from '@muster/contract'
import type { Logger } from '@muster/runtime'
import type { FastifyRequest } from 'fastify'
import { instructionsOf } from './instructions.ts'
import type { CallDeps, McpContext, McpServers, ProgressNotice } from './request.ts'
import { addTasks, answerWithTask, TASKS_CAPABILITY } from './tasks.ts'

/** The tools change only with a release. The list is private, because it depends on what the key may use. */
const CACHE = { ttlMs: 300_000, cacheScope: 'private' } as const

/** Answers requests of this generation. */
export type ModernLeg = {
  serve(context: McpContext, request: FastifyRequest, response: ServerResponse): Promise<void>
  /** Closes what is still open. */
  close(): Promise<void>
}

/** Makes the leg over the modern servers. */
export function createModernLeg(servers: McpServers, logger: Logger): ModernLeg {
  // The SDK passes its factory nothing but the request, so the request has to lead to the context.
  const contexts = new WeakMap<Request, McpContext>()
  const handler = createMcpHandler(
    ({ requestInfo }) => {
      const context = requestInfo === undefined ? undefined : contexts.get(requestInfo)
      if (context === undefined) throw new Error('an MCP request came without its caller')
      return servers.modern(context)
    },
    { legacy: 'reject', onerror: (error) => logger.debug({ err: error }, 'an MCP request was not answered') },
  )
  return {
    serve: async (context, request, response) => {
      const onerror = (error: Error) =>
        logger.error({ err: error, request_id: context.requestId }, 'an MCP request failed')
      const answer = toNodeHandler(
        {
          fetch: (web, options) => {
            contexts.set(web, context)
            return handler.fetch(web, options)
          },
        },
        { onerror },
      )
      await answer(request.raw, response, request.body)
    },
    close: () => handler.close(),
  }
}

/** Makes the product's server for one request. */
export function createModernServer(deps: CallDeps, context: McpContext): Server {
  const server = new Server(
    { name: 'muster', version: VERSION },
    {
      capabilities: { tools: { listChanged: false }, extensions: TASKS_CAPABILITY },
      instructions: instructionsOf(context.profile),
      cacheHints: { 'tools/list': CACHE, 'server/discover': CACHE },
    },
  )
  server.setRequestHandler('tools/list', () => ({
    tools: [...deps.tools[context.profile].list(context.caller.scopes)],
  }))
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq }) => {
    const { name, arguments: fields = {} } = params
    const { signal, _meta: meta = {} } = mcpReq
    const notify = (progress: ProgressNotice) => mcpReq.notify({ method: 'notifications/progress', params: progress })
    return { ...(await answerWithTask(deps, context, { name, fields, meta, signal, notify }, mcpReq)) }
  })
  addTasks(server, deps, context)
  return server
}
