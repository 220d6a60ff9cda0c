/**
 * Puts the HTTP server together: what every request passes through, and the surfaces behind it.
 *
 * It opens nothing but what Fastify opens. Whoever passes in a dependency closes it.
 */
import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import type { BlockList } from 'node:net'
import type { KeyStore } from '@muster/access'
import Fastify, { type FastifyInstance } from 'fastify'
import { addAuthentication, createKeyWatch } from './http/authentication.ts'
import { addBoard } from './http/board.ts'
import { createWay } from './http/called-address.ts'
import { createCallerOf } from './http/caller.ts'
import { answerClientError, answerExpectation } from './http/client-error.ts'
import { addHealth } from './http/health.ts'
import { addJsonBodies } from './http/json-body.ts'
import { addOrderlyClose } from './http/orderly-close.ts'
import { addOriginCheck, type OwnNames } from './http/origin-check.ts'
import { addProblems, sendProblem } from './http/problems.ts'
import { addRequestLog } from './http/request-log.ts'
import type { Tls } from './http/tls.ts'
import { addMcp } from './mcp/endpoint.ts'
import type { CallDeps, McpServers } from './mcp/request.ts'
import { createMcpServers } from './mcp/servers.ts'
import type { OperationDeps } from './operations/call/operation.ts'
import { createOperations } from './operations/operations.ts'
import { addDocumentation } from './rest/documentation.ts'
import { addRest } from './rest/rest.ts'
import { createProfiles } from './tools/profiles.ts'

/** Longest body of a request, unless its route sets another limit. */
const BODY_LIMIT_BYTES = 1024 * 1024
/** How long a caller may take to send its headers, and its whole request: 32 MiB over a slow line take minutes. */
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 300_000
/** How long a connection may stay open for the next request. */
const KEEP_ALIVE_MS = 72_000
/** How long a connection may be silent. Must exceed the longest wait (45 s), during which no byte is sent. */
const CONNECTION_TIMEOUT_MS = 90_000

const LISTENING = {
  headersTimeout: HEADERS_TIMEOUT_MS,
  connectionsCheckingInterval: HEADERS_TIMEOUT_MS / 2,
  // The origin check refuses a request without one, in words; health routes need none.
  requireHostHeader: false,
}

/** What the server needs. */
export type ServerDeps = OperationDeps & {
  readonly keys: KeyStore
  /** What the server is called, in addition to loopback. */
  readonly names: OwnNames
  /** The addresses of proxies whose `X-Forwarded-*` headers are believed. */
  readonly trustedProxies: BlockList
  /** Undefined: the server speaks plain HTTP. */
  readonly tls: Pick<Tls, 'createServer'> | undefined
  /** What answers `POST /mcp`. Default: the tools. Conformance tests put servers of their own there. */
  readonly mcpServers?: (deps: CallDeps) => McpServers
}

/** Builds a server that is ready to listen. Closing it answers waiting calls with what is known; jobs go on. */
export async function buildServer(deps: ServerDeps): Promise<FastifyInstance> {
  const { keys, logger, ledger, names } = deps
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    clientErrorHandler: answerClientError,
    ...listening(deps.tls),
    routerOptions: { ignoreTrailingSlash: true },
    genReqId: () => `req_${randomBytes(8).toString('hex')}`,
    frameworkErrors: (error, request, reply) => sendProblem(reply, request, error, logger),
  })
  // Above this number Node would drop headers in silence, a second Host too. All together have 16 KiB.
  app.server.maxHeadersCount = 0
  app.server.on('checkExpectation', answerExpectation)
  const closing = addOrderlyClose(app)
  const way = createWay(deps.trustedProxies)
  addRequestLog(app, way, logger)
  addProblems(app, logger)
  addJsonBodies(app)
  addOriginCheck(app, names, way, logger)
  addAuthentication(app, keys, logger)

  const callerOf = createCallerOf(closing)
  const operations = createOperations(deps)
  addHealth(app, deps)
  addRest(app, { operations, callerOf, keyWatch: createKeyWatch(keys), logger })
  const createServers = deps.mcpServers ?? createMcpServers
  const servers = createServers({ tools: createProfiles(operations, ledger), operations, ledger, logger })
  await addMcp(app, { servers, callerOf, logger })
  await addDocumentation(app)
  await addBoard(app, ledger, logger)
  return app
}

/** Fastify sets the other timeouts itself, but not on a server that it did not make. */
function listening(tls: ServerDeps['tls']) {
  if (tls === undefined) return { http: LISTENING }
  const limits = { ...LISTENING, requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS }
  const serverFactory = (handler: RequestListener) =>
    tls.createServer(limits, handler).setTimeout(CONNECTION_TIMEOUT_MS)
  return { serverFactory }
}
