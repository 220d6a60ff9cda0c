/**
 * The Model Context Protocol at `POST /mcp`: streamable HTTP without sessions, in both generations of the protocol.
 *
 * It and the two legs, `legacy.ts` and `modern.ts`, hold everything about transport; the servers passed in know the
 * tools. Every request has a server of its own, so nothing of one caller can reach another and nothing outlives a
 * request.
 */
import { classifyInboundRequest } from '@modelcontextprotocol/server'
import { MusterError, type ToolProfile, toolProfileOf } from '@muster/contract'
import type { Logger } from '@muster/runtime'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { CallerOf } from '../http/caller.ts'
import { serveLegacy } from './legacy.ts'
import { addMessageBodies, RefusedBody } from './message-body.ts'
import { idIn, refuseMessages } from './messages.ts'
import { createModernLeg } from './modern.ts'
import type { McpServers } from './request.ts'
import { sendRpcError } from './rpc-errors.ts'

/** Adds the endpoint. */
export async function addMcp(
  app: FastifyInstance,
  { servers, callerOf, logger }: { servers: McpServers; callerOf: CallerOf; logger: Logger },
): Promise<void> {
  const modern = createModernLeg(servers, logger)
  app.addHook('onClose', () => modern.close())
  await app.register(async (scope) => {
    addMessageBodies(scope)
    scope.route({
      method: 'POST',
      url: '/mcp',
      errorHandler: (error, request, reply) => sendRpcError(reply, request, error, logger),
      handler: async (request, reply) => {
        const profile = profileOf(request)
        const refusal = refuseMessages(request.body)
        // A refusal with an ID answers that one request; without an ID it refuses the whole body.
        if (refusal !== undefined) return reply.code(refusal.id === null ? 400 : 200).send(refusal)
        const context = { caller: callerOf(request, reply), profile, requestId: request.id }
        takeOver(reply)
        try {
          if (isLegacy(request)) await serveLegacy(servers, context, request, reply.raw)
          else await modern.serve(context, request, reply.raw)
        } catch (error) {
          logger.error({ err: error, request_id: request.id }, 'an MCP request failed')
          if (!reply.raw.headersSent) reply.raw.writeHead(500)
          reply.raw.end()
        }
      },
    })
    scope.route({
      method: ['GET', 'DELETE'],
      url: '/mcp',
      onRequest: async (_request, reply) => reply.code(405).header('allow', 'POST').send(),
      handler: async () => undefined,
    })
  })
}

const Query = z.looseObject({ tools: z.unknown().optional() })

/**
 * The set of tools that the address of a request names.
 * @throws {RefusedBody} when there is no such set
 */
function profileOf({ query, body }: FastifyRequest): ToolProfile {
  try {
    return toolProfileOf(Query.parse(query).tools, 'tools')
  } catch (error) {
    throw error instanceof MusterError ? new RefusedBody(error, idIn(body)) : error
  }
}

/** Applies the SDK's own rule. Whatever it does not call legacy, refusals included, the modern leg answers. */
function isLegacy({ body, headers }: FastifyRequest): boolean {
  if (body === undefined) return true
  const [version, method, name] = ['mcp-protocol-version', 'mcp-method', 'mcp-name'].map((header) => {
    const value = headers[header]
    return Array.isArray(value) ? value[0] : value
  })
  const { kind } = classifyInboundRequest({
    httpMethod: 'POST',
    body,
    ...(version === undefined ? {} : { protocolVersionHeader: version }),
    ...(method === undefined ? {} : { mcpMethodHeader: method }),
    ...(name === undefined ? {} : { mcpNameHeader: name }),
  })
  return kind === 'legacy'
}

/** Hands the connection to the SDK, with the headers that other routes send too. */
function takeOver(reply: FastifyReply): void {
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) reply.raw.setHeader(name, value)
  }
  reply.hijack()
}
