/** The HTTP server: what is mounted where, and the rules that hold for all of it. Listens nowhere by itself. */

import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { KeyStore } from '@muster/access'
import type { Inventory } from '@muster/inventory'
import type { Ledger } from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import { type FastifyBaseLogger, type FastifyInstance, fastify } from 'fastify'
import { requireKeys } from './authentication.ts'
import { mountBoard } from './board.ts'
import { mountMcp } from './mcp.ts'
import { openApiDocument } from './openapi.ts'
import { createOperations } from './operations.ts'
import { checkOrigins } from './origin-check.ts'
import { answerProblems } from './problems.ts'
import { registerRest } from './rest.ts'

/** What the server stands on. */
export type ServerDeps = {
  readonly ledger: Ledger
  readonly inventory: () => Inventory
  readonly keys: KeyStore
  readonly logger: Logger
  readonly version: string
  /** The address it is going to listen on, and further names it may be called by. */
  readonly listenHost: string
  readonly allowedHosts: readonly string[]
  /** Aborts when the server is told to stop: waits then end with what is known. */
  readonly closing: AbortSignal
}

/** A command, a script and a stdin of the largest size, escaped as JSON. */
const BODY_LIMIT_BYTES = 2 * 1024 * 1024
/** A request that takes longer to arrive is no request (slow loris). */
const REQUEST_TIMEOUT_MS = 30_000

/** Builds the server. Close it with `app.close()`. */
export async function buildServer(deps: ServerDeps): Promise<FastifyInstance> {
  const loggerInstance: FastifyBaseLogger = deps.logger
  const app = fastify({
    loggerInstance,
    disableRequestLogging: true,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true },
  })
  answerProblems(app)
  checkOrigins(app, deps)
  requireKeys(app, deps.keys)
  app.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff')
  })

  app.get('/livez', () => ({ status: 'ok' }))
  app.get('/readyz', async () => {
    await deps.ledger.ping()
    return { status: 'ready', hosts: deps.inventory().hosts.size }
  })

  const document = openApiDocument(deps.version)
  await app.register(swagger, { mode: 'static', specification: { document: JSON.parse(JSON.stringify(document)) } })
  await app.register(swaggerUi, { routePrefix: '/docs' })
  app.get('/openapi.json', () => document)

  const operations = createOperations(deps)
  registerRest(app, operations, deps.closing)
  mountMcp(app, operations, deps)
  await mountBoard(app, deps.ledger)
  return app
}
