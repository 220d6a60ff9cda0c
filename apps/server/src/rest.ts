/** REST: one route for each row of the operation table that has one. Adds nothing that is not in the table. */
import { MusterError, OPERATION_NAMES, OPERATIONS, type Operation, type OperationName } from '@muster/contract'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { callerOf } from './authentication.ts'
import { invoke } from './invoke.ts'
import type { Operations } from './operations.ts'
import { fieldsOfRequest } from './request-input.ts'
import { waitSignal } from './wait-signal.ts'

/** An answer that tells where the job is. */
const Linked = z.object({ links: z.object({ self: z.string() }) })

/** Registers the routes. `closing` aborts when the server is told to stop, so that no wait holds it up. */
export function registerRest(app: FastifyInstance, operations: Operations, closing: AbortSignal): void {
  for (const name of OPERATION_NAMES) {
    const { rest }: Operation = OPERATIONS[name]
    if (rest === undefined) continue
    app.route({
      method: rest.method,
      url: rest.path,
      handler: async (request, reply) => {
        const asking = { caller: callerOf(request), signal: waitSignal(reply.raw, closing) }
        const answer = await invoke(operations, name, givenBy(request, name), asking)
        const linked = Linked.safeParse(answer)
        if (rest.status === 202 && linked.success) reply.header('location', linked.data.links.self)
        return reply.code(rest.status).send(answer)
      },
    })
  }
}

function givenBy(request: FastifyRequest, name: OperationName): Record<string, unknown> {
  const fields = fieldsOfRequest(OPERATIONS[name].input, request)
  const key = request.headers['idempotency-key']
  if (key === undefined || !('idempotency_key' in OPERATIONS[name].input.shape)) return fields
  if ('idempotency_key' in fields && fields['idempotency_key'] !== key) {
    const details = { field: 'idempotency_key' }
    throw new MusterError('invalid_request', 'idempotency_key differs from the Idempotency-Key header', { details })
  }
  return { ...fields, idempotency_key: key }
}
