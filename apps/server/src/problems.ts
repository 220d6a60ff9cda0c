/** Faults as HTTP answers: `application/problem+json` (RFC 9457), made from the error table of the contract. */
import { ERRORS, type ErrorCode, MusterError, toProblem } from '@muster/contract'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** Redis is back in seconds, or somebody has to come. */
const RETRY_AFTER_S = 2

/** What Fastify itself refuses, in our words. */
const FASTIFY_CODES: Record<string, ErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_request',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_request',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
}

/** Answers every fault, and every path that is not there. */
export function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | MusterError | Error, request, reply) => {
    const known = ours(error)
    if (ERRORS[known.code].status >= 500) request.log.error({ err: error }, 'request failed')
    return sendProblem(reply, known)
  })
  app.setNotFoundHandler((request: FastifyRequest, reply) => {
    return sendProblem(reply, new MusterError('not_found', `there is no ${request.method} ${request.url}`))
  })
}

/** Sends one fault. */
export function sendProblem(reply: FastifyReply, error: MusterError): FastifyReply {
  const problem = toProblem(error)
  if (problem.status === 503) reply.header('retry-after', String(RETRY_AFTER_S))
  return reply.code(problem.status).type('application/problem+json').send(problem)
}

function ours(error: Error): MusterError {
  if (error instanceof MusterError) return error
  const code = 'code' in error ? FASTIFY_CODES[String(error.code)] : undefined
  if (code !== undefined) return new MusterError(code, error.message, { cause: error })
  if (error instanceof SyntaxError) return new MusterError('invalid_request', error.message, { cause: error })
  return new MusterError('internal', error.message, { cause: error })
}
