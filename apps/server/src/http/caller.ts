/** Who calls, as part of which trace, and until when: a wait ends when its caller is gone or the server closes. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../operations/call/operation.ts'
import { readTraceparent } from './traceparent.ts'

/** Makes a caller out of a request. */
export type CallerOf = (request: FastifyRequest, reply: FastifyReply) => Caller

/** Callers whose waits end when they are gone, or when `closing` aborts. */
export function createCallerOf(closing: AbortSignal): CallerOf {
  return (request, reply) => {
    const gone = new AbortController()
    // Also fires after an answer, when nobody waits any more.
    const onClose = () => gone.abort(new Error('the caller is gone'))
    if (reply.raw.destroyed) onClose()
    else reply.raw.once('close', onClose)
    const traceparent = readTraceparent(request.headers.traceparent)
    return {
      ...request.principal,
      ...(traceparent === undefined ? {} : { traceparent }),
      signal: AbortSignal.any([closing, gone.signal]),
    }
  }
}
