/** Bodies: JSON and nothing else, and none at all where nothing has to be said. What is wrong with a body is told. */
import { MusterError } from '@muster/contract'
import type { FastifyInstance } from 'fastify'

/** Makes the server read `application/json`; other types are refused by Fastify (415). */
export function addJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parse(body.toString()))
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)))
    }
  })
}

/** Undefined for an empty body: many clients send the header with every POST. */
function parse(text: string): unknown {
  if (text.trim() === '') return undefined
  try {
    return JSON.parse(text)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new MusterError('invalid_request', `the body is not JSON: ${why}; accepted: a JSON object`, { cause: error })
  }
}
