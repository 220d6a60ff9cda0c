/**
 * Logs a line for every request, and sets the headers that every answer carries.
 *
 * It never logs a body, a header or a query: they hold commands, keys and cursors.
 */
import type { Logger } from '@muster/runtime'
import type { FastifyInstance } from 'fastify'
import type { Way } from './called-address.ts'

/** Adds both. Requests are logged at level debug; our own faults are logged where they are noticed. */
export function addRequestLog(app: FastifyInstance, way: Way, logger: Logger): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    })
  })
  app.addHook('onResponse', async (request, reply) => {
    logger.debug(
      {
        request_id: request.id,
        method: request.method,
        route: request.routeOptions.url ?? 'none',
        status: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime),
        key_id: request.principal.keyId,
        client: way.clientOf(request),
      },
      'request answered',
    )
  })
}
