/** Turns a request into a caller: who calls, as part of which trace, and until when its waits may last. */
import { createHmac } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../operations/call/operation.ts'
import { keyIn } from './authentication.ts'
import { readTraceparent } from './traceparent.ts'

/** Makes a caller from a request. */
export type CallerOf = (request: FastifyRequest, reply: FastifyReply) => Caller

/** Makes callers whose waits end when the caller disconnects, or when `closing` aborts. */
export function createCallerOf(closing: AbortSignal): CallerOf {
  return (request, reply) => {
    const gone = new AbortController()
    // Also fires after the answer, when nobody waits any more.
    const onClose = () => gone.abort(new Error('the caller is gone'))
    if (reply.raw.destroyed) onClose()
    else reply.raw.once('close', onClose)
    const traceparent = readTraceparent(request.headers.traceparent)
    return {
      ...request.principal,
      mac: (text) => macOf(request, text),
      ...(traceparent === undefined ? {} : { traceparent }),
      signal: AbortSignal.any([closing, gone.signal]),
    }
  }
}

function macOf({ headers }: FastifyRequest, text: string): string {
  const key = keyIn(headers.authorization ?? '')
  if (key === undefined) throw new Error('a request without an API key was let in')
  return createHmac('sha256', key).update(text).digest('base64url')
}
