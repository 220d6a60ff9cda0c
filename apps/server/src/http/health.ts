/** `/livez` and `/readyz`, for supervisors and load balancers. They need no key and reveal nothing secret. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { OperationDeps } from '../operations/call/operation.ts'

const HEALTH_ROUTES: ReadonlySet<string> = new Set(['/livez', '/readyz'])

/** Whether a request is for one of them. */
export function isHealthRoute({ routeOptions }: FastifyRequest): boolean {
  return HEALTH_ROUTES.has(routeOptions.url ?? '')
}

/** Adds both. `/livez` answers 200 while the process runs; `/readyz` answers 200 when it can do its work, else 503. */
export function addHealth(
  app: FastifyInstance,
  { ledger, inventory }: Pick<OperationDeps, 'ledger' | 'inventory'>,
): void {
  app.get('/livez', async () => ({ status: 'ok' }))
  app.get('/readyz', async (_request, reply) => {
    // Needs no timeout: the ledger of a server fails fast.
    const hasRedis = await ledger.ping().then(
      () => true,
      () => false,
    )
    const hasInventory = inventory.current().hosts.size > 0
    const isReady = hasRedis && hasInventory
    if (!isReady) reply.code(503).header('retry-after', '2')
    return {
      status: isReady ? 'ok' : 'unavailable',
      redis: hasRedis ? 'ok' : 'unavailable',
      inventory: hasInventory ? 'ok' : 'unavailable',
    }
  })
}
