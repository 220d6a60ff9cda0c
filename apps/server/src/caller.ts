/** Who calls, and until when: a wait ends when its caller is gone or the server closes. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from './operations.ts'

/** Makes callers out of requests. */
export type Callers = { of(request: FastifyRequest, reply: FastifyReply): Caller }

/** Callers whose signals all abort when the server begins to close, so that a long wait never holds it up. */
export function createCallers(app: FastifyInstance): Callers {
  const closing = new AbortController()
  app.addHook('preClose', async () => closing.abort(new Error('the server is closing')))
  return {
    of: (request, reply) => {
      const gone = new AbortController()
      // Also fires after an answer, when nobody waits any more.
      const onClose = () => gone.abort(new Error('the caller is gone'))
      if (reply.raw.destroyed) onClose()
      else reply.raw.once('close', onClose)
      return { keyId: request.keyId, signal: AbortSignal.any([closing.signal, gone.signal]) }
    },
  }
}
