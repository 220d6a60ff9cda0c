/**
 * Answers every refusal and fault as `application/problem+json`, including those of Fastify.
 *
 * Our own faults (500 and above) are logged under the request ID, and the caller does not see their text.
 */
import { MusterError, toProblem } from '@muster/contract'
import type { Logger } from '@muster/runtime'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** About as long as Redis takes to restart. */
const RETRY_AFTER_S = 2

/** Tells a caller how to present its key (RFC 6750, section 3). An `error` may be appended. */
export const CHALLENGE = 'Bearer realm="Muster"'

/** Makes the server answer errors and unknown routes as problems. */
export function addProblems(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => sendProblem(reply, request, error, logger))
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]
    const message = `there is no route ${request.method} ${path}; /openapi.json lists them`
    return sendProblem(reply, request, new MusterError('not_found', message), logger)
  })
}

/** Answers with a problem. Hooks call it directly, because plugins may have error handlers of their own. */
export function sendProblem(
  reply: FastifyReply,
  request: FastifyRequest,
  error: unknown,
  logger: Logger,
): FastifyReply {
  const fault = asMusterError(error, request)
  const problem = toProblem(fault)
  if (problem.status >= 500) {
    logger.error({ err: error, request_id: request.id, route: request.routeOptions.url }, 'a request failed')
  }
  const retryAfterS = problem.retry_after_s ?? (problem.status === 503 ? RETRY_AFTER_S : undefined)
  if (retryAfterS !== undefined) reply.header('retry-after', String(retryAfterS))
  if (problem.scope !== undefined) {
    reply.header('www-authenticate', `${CHALLENGE}, error="insufficient_scope", scope="${problem.scope}"`)
  }
  return reply
    .code(problem.status)
    .type('application/problem+json; charset=utf-8')
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problem)
}

/** Puts an error of Fastify into our words. Anything unknown stays as it is and counts as our fault. */
export function asMusterError(error: unknown, { routeOptions }: FastifyRequest): unknown {
  if (error instanceof MusterError || !isFastifyError(error)) return error
  const options = { cause: error }
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new MusterError(
        'too_large',
        `the body is longer than the ${routeOptions.bodyLimit} bytes that this route takes`,
        options,
      )
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new MusterError(
        'unsupported_media_type',
        'the body must be JSON, with Content-Type: application/json',
        options,
      )
    default: {
      const isTheirs = error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500
      return isTheirs ? new MusterError('invalid_request', error.message, options) : error
    }
  }
}

function isFastifyError(error: unknown): error is FastifyError {
  return error instanceof Error && 'code' in error && 'statusCode' in error
}
