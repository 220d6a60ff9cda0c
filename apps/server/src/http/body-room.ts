/**
 * Limits how many large bodies the server reads at once. A body is in memory three times over: as bytes, as text and as
 * the fields parsed from it. Callers beyond the limit are told to try again before any of their body is read.
 */
import { requireScope } from '@muster/access'
import type { Scope } from '@muster/contract'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createShares } from '../operations/call/shares.ts'

/** Shorter bodies are not counted. */
const LARGE_BYTES = 1024 * 1024
/** Most bytes of large bodies at once. A body that is alone may have any length that its route takes. */
const ROOM_BYTES = 128 * 1024 * 1024

/** The room for large bodies of one server. */
export type BodyRoom = {
  /**
   * Reserves room for the body of a request, until the request is answered. `limitBytes` is what its route takes.
   * @throws {MusterError} insufficient_scope, as no large body is read for a key that may not use the route;
   *   share_taken; busy
   */
  enter(request: FastifyRequest, reply: FastifyReply, route: { limitBytes: number; scope: Scope }): void
}

/** Makes an empty room. */
export function createBodyRoom(): BodyRoom {
  const room = createShares({ what: 'bytes of large requests', total: ROOM_BYTES, least: 0 })
  return {
    enter: (request, reply, { limitBytes, scope }) => {
      const { 'content-length': declared, 'transfer-encoding': encoding } = request.headers
      // A chunked body does not say how long it will be, so it counts as the longest.
      const bytes = encoding === undefined ? Number(declared ?? 0) : limitBytes
      if (bytes <= LARGE_BYTES || bytes > limitBytes) return
      requireScope(request.principal, scope)
      reply.raw.once('close', room.take(request.principal, bytes))
    },
  }
}
