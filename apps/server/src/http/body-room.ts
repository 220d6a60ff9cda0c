/**
 * Room for large bodies. A body is in memory whole, as bytes, as text and as the fields that are read from it, so that
 * only so many are taken at once; whoever comes then is told to come again, before anything of the body is read.
 */
import { requireScope } from '@muster/access'
import { MusterError, type Scope } from '@muster/contract'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** A shorter body is not counted. */
const LARGE_BYTES = 1024 * 1024
/** Most that large bodies come to at once; one alone may have any length that its route takes. */
const ROOM_BYTES = 128 * 1024 * 1024

/** The room of one server. */
export type BodyRoom = {
  /**
   * Lets in the body of a request whose route takes up to `limitBytes`, until the request has been answered.
   * @throws {MusterError} insufficient_scope, which a body of this length is not read for; busy
   */
  enter(request: FastifyRequest, reply: FastifyReply, route: { limitBytes: number; scope: Scope }): void
}

/** Makes it, empty. */
export function createBodyRoom(): BodyRoom {
  let takenBytes = 0
  return {
    enter: (request, reply, { limitBytes, scope }) => {
      const { 'content-length': declared, 'transfer-encoding': encoding } = request.headers
      // A body in chunks does not say how long it will be.
      const bytes = encoding === undefined ? Number(declared ?? 0) : limitBytes
      if (bytes <= LARGE_BYTES || bytes > limitBytes) return
      requireScope(request.principal, scope)
      if (takenBytes > 0 && takenBytes + bytes > ROOM_BYTES) {
        const message = `other requests of ${takenBytes} bytes are being read, so there is no room for one of ${bytes}`
        throw new MusterError('busy', message)
      }
      takenBytes += bytes
      reply.raw.once('close', () => {
        takenBytes -= bytes
      })
    },
  }
}
