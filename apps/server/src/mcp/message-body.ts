/**
 * Reads the body of a call. One that is refused, because it is too long or holds what must not be there, is refused
 * under the ID of its request, so that the client sees which of its requests it was.
 */
import type { IncomingMessage } from 'node:http'
import { type MessageId, MusterError, searchMessageId } from '@muster/contract'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { parseJsonBody } from '../http/json-body.ts'

/** Longest body of a call, which a model has written. Longer scripts go over REST or the CLI. */
const BODY_LIMIT_BYTES = 256 * 1024
/** How far a longer body is read, only to find the ID in it: clients may write it last. The bytes are not kept. */
const SEARCH_LIMIT_BYTES = 16 * 1024 * 1024

/** The refusal of a body, and the ID of the request in it. */
export class RefusedBody extends MusterError {
  readonly id: MessageId

  constructor({ code, message, details }: MusterError, id: MessageId) {
    super(code, message, { details })
    this.id = id
  }
}

/** Makes the routes of this scope take messages as bodies. */
export function addMessageBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('application/json', (_request: FastifyRequest, payload: IncomingMessage) =>
    readMessage(payload),
  )
}

async function readMessage(payload: IncomingMessage): Promise<unknown> {
  const search = searchMessageId()
  const parts: Buffer[] = []
  let length = 0
  try {
    for await (const part of payload.iterator({ destroyOnReturn: false })) {
      const bytes = Buffer.from(part)
      length += bytes.length
      if (length > SEARCH_LIMIT_BYTES) break
      search.take(bytes)
      if (length <= BODY_LIMIT_BYTES) parts.push(bytes)
    }
  } catch (error) {
    throw new MusterError('invalid_request', 'the body ended before its time', { cause: error })
  }
  if (length > BODY_LIMIT_BYTES) {
    const message = `the body is longer than the ${BODY_LIMIT_BYTES} bytes that this route takes`
    throw new RefusedBody(new MusterError('too_large', message), search.found())
  }
  const body = Buffer.concat(parts)
  try {
    return parseJsonBody(body)
  } catch (error) {
    // What is no JSON holds no request either.
    if (!(error instanceof MusterError) || error.cause !== undefined) throw error
    throw new RefusedBody(error, search.found())
  }
}
