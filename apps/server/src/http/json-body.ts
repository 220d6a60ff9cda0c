/** Reads bodies: JSON and nothing else. A body may be empty where a request needs no fields. */
import { decodeUtf8, MusterError } from '@muster/contract'
import type { FastifyInstance } from 'fastify'

/** Makes the server read `application/json`. Fastify refuses other types with 415. */
export function addJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parse(body))
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)))
    }
  })
}

/** Undefined for an empty body: many clients send the content type with every POST. */
function parse(bytes: Buffer): unknown {
  const decoded = decodeUtf8(bytes)
  if ('badAt' in decoded) throw new MusterError('invalid_request', `the body is not UTF-8 at byte ${decoded.badAt}`)
  if (/^\s*$/.test(decoded.text)) return undefined
  try {
    return JSON.parse(decoded.text)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new MusterError('invalid_request', `the body is not JSON: ${why}; accepted: a JSON object`, { cause: error })
  }
}
