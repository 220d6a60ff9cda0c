/** MCP requests as they go over the wire, for what no client would send. */
import { z } from 'zod'
import type { startTestServer } from '../server/server.ts'

/** The two generations of the protocol. */
export type Generation = 'legacy' | 'modern'
export const GENERATIONS = ['legacy', 'modern'] as const satisfies Generation[]

/** A request: what it asks, and what is to be different from how a client would put it. */
export type WireRequest = {
  generation: Generation
  method: string
  params?: Record<string, unknown>
  id?: string | number
  meta?: Record<string, unknown>
  capabilities?: Record<string, unknown>
  headers?: Record<string, string>
  signal?: AbortSignal
}

const RpcAnswer = z.looseObject({
  id: z.union([z.string(), z.number(), z.null()]).optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.looseObject({ code: z.number(), message: z.string(), data: z.unknown().optional() }).optional(),
})

/** The message and the headers of a request. */
export function wireRequest({ generation, method, params = {}, id = 1, meta = {}, capabilities = {} }: WireRequest) {
  const accept = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' }
  if (generation === 'legacy') {
    return { body: { jsonrpc: '2.0', id, method, params: { ...params, _meta: meta } }, headers: accept }
  }
  const envelope = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '0' },
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  }
  const name = params.name ?? params.taskId
  return {
    body: { jsonrpc: '2.0', id, method, params: { ...params, _meta: { ...envelope, ...meta } } },
    headers: {
      ...accept,
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
    },
  }
}

/** Posts it to a server, with its first key unless a header says otherwise. */
export async function postMcp(
  { url, key }: Pick<Awaited<ReturnType<typeof startTestServer>>, 'url' | 'key'>,
  request: WireRequest,
) {
  const { body, headers } = wireRequest(request)
  const response = await fetch(`${url}/mcp`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, ...headers, ...request.headers },
    body: JSON.stringify(body),
    signal: request.signal ?? AbortSignal.timeout(60_000),
  })
  const text = await response.text()
  const type = response.headers.get('content-type') ?? ''
  return { status: response.status, type, text, ...(type.includes('json') ? RpcAnswer.parse(JSON.parse(text)) : {}) }
}
