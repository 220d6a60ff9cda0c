/** Adds a REST route for each operation whose row has one. `operations.ts` carries the operations out. */
import { Job, MusterError, type Operation, type Scope } from '@muster/contract'
import type { Logger } from '@muster/runtime'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { KeyWatch } from '../http/authentication.ts'
import { createBodyRoom } from '../http/body-room.ts'
import type { CallerOf } from '../http/caller.ts'
import type { Caller } from '../operations/call/operation.ts'
import { type Fields, gatherFields } from '../operations/call/request-input.ts'
import type { Operations } from '../operations/operations.ts'
import { createEventStreams, isEvents } from './event-stream.ts'

/** Adds the route of each operation that has one. */
export function addRest(
  app: FastifyInstance,
  {
    operations,
    callerOf,
    keyWatch,
    logger,
  }: { operations: Operations; callerOf: CallerOf; keyWatch: KeyWatch; logger: Logger },
): void {
  const streams = createEventStreams(logger)
  const room = createBodyRoom()
  const takingLarge = (limitBytes: number, scope: Scope) => ({
    bodyLimit: limitBytes,
    onRequest: async (request: FastifyRequest, reply: FastifyReply) =>
      room.enter(request, reply, { limitBytes, scope }),
  })
  for (const [name, { row, call }] of Object.entries(operations)) {
    const { rest, input, scope }: Operation = row
    if (rest === undefined) continue
    app.route({
      method: rest.method,
      url: rest.path,
      ...(rest.bodyLimitBytes === undefined ? {} : takingLarge(rest.bodyLimitBytes, scope)),
      handler: async (request, reply) => {
        const { params: path, query, body } = request
        const fields = gatherFields(input.shape, { method: rest.method, path, query, body })
        const keyed = Object.hasOwn(input.shape, 'idempotency_key') ? withIdempotencyKey(fields, request) : fields
        const given = rest.answers === 'events' ? withLastEventId(keyed, request) : keyed
        const caller = callerOf(request, reply)
        const answer = await call(
          given,
          rest.answers === 'events' ? whileKeyLasts(caller, keyWatch(request, reply)) : caller,
        )
        reply.code(rest.status)
        if (isEvents(answer)) return streams.send(request, reply, answer)
        if (name === 'submit_job') reply.header('location', Job.parse(answer).links.self)
        return answer
      },
    })
  }
}

/** A stream may last for days, so it ends when its key does. */
function whileKeyLasts(caller: Caller, refused: AbortSignal): Caller {
  return { ...caller, signal: AbortSignal.any([caller.signal, refused]) }
}

/** HTTP usually has the key in the header; MCP has the field only. */
function withIdempotencyKey(fields: Fields, request: FastifyRequest): Fields {
  const header = request.headers['idempotency-key']
  if (header === undefined) return fields
  const field = fields.idempotency_key
  if (field !== undefined && field !== header) {
    const message = 'idempotency_key: the field and the Idempotency-Key header differ; give one of them'
    throw new MusterError('invalid_request', message, { details: { field: 'idempotency_key' } })
  }
  return { ...fields, idempotency_key: header }
}

/** A browser that reconnects repeats its query, and says in this header how far it got. */
function withLastEventId(fields: Fields, request: FastifyRequest): Fields {
  const header = request.headers['last-event-id']
  if (header === undefined || fields.host === undefined) return fields
  return { ...fields, after: header }
}
