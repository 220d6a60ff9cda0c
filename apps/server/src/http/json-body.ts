/**
 * Reads bodies: JSON and nothing else. Every request that may change something says `application/json`, also without a
 * body: a page of another site cannot make a browser send that without asking first.
 */
import { decodeUtf8, MusterError, troubleInJson } from '@muster/contract'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** Methods that change nothing, and take no body. */
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** A media type and what follows it (RFC 9110, section 8.3.1). */
const MEDIA_TYPE = /^\s*([^\s;,]+)\s*(;[^,]*)?$/
const CHARSET = /;\s*charset\s*=\s*"?([^";\s]*)"?/gi

/** Makes the server read `application/json`, and refuse requests that bring or declare anything else. */
export function addJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseJsonBody(body))
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)))
    }
  })
  // After the hooks of a route: what no route takes is refused as that.
  app.addHook('preParsing', async (request) => {
    if (request.is404) return
    const refusal = READING.has(request.method) ? strayBody(request) : typeTrouble(request)
    if (refusal !== undefined) throw refusal
  })
}

/**
 * The value of a body. Undefined for an empty one: a request may need no fields.
 * @throws {MusterError} invalid_request
 */
export function parseJsonBody(bytes: Buffer): unknown {
  const decoded = decodeUtf8(bytes)
  if ('badAt' in decoded) throw new MusterError('invalid_request', `the body is not UTF-8 at byte ${decoded.badAt}`)
  if (decoded.text.trim() === '') return undefined
  const trouble = troubleInJson(decoded.text)
  if (trouble !== undefined) {
    const { field, text } = trouble
    const message = field === '' ? text : `${field}: ${text}`
    throw new MusterError('invalid_request', message, field === '' ? {} : { details: { field } })
  }
  try {
    return JSON.parse(decoded.text)
  } catch (error) {
    const why = withoutQuote(error instanceof Error ? error.message : String(error))
    const cause = new SyntaxError(why)
    throw new MusterError('invalid_request', `the body is not JSON: ${why}; accepted: a JSON object`, { cause })
  }
}

/** What Node says of a text that is no JSON, without the piece of it that Node quotes: it may be one of a password. */
function withoutQuote(message: string): string {
  return message.replace(/(?:, (?:\.\.\.)?|^)".*"(?:\.\.\.)? is not valid JSON$/s, '')
}

function typeTrouble({ headers }: FastifyRequest): MusterError | undefined {
  const { 'content-type': type, 'content-encoding': encoding } = headers
  const [, name, parameters = ''] = MEDIA_TYPE.exec(type ?? '') ?? []
  const charsets = [...parameters.matchAll(CHARSET)].map(([, charset = '']) => charset.toLowerCase())
  if (name?.toLowerCase() !== 'application/json' || charsets.some((charset) => charset !== 'utf-8')) {
    const received = type === undefined ? 'none was given' : `received ${shown(type)}`
    const needed = 'the body must be JSON, with Content-Type: application/json, also when it is empty'
    return new MusterError('unsupported_media_type', `${needed}; ${received}`, { details: { field: 'Content-Type' } })
  }
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return undefined
  const message = `Content-Encoding: received ${shown(encoding)}; the body is taken as it is, so send it without one`
  return new MusterError('unsupported_media_type', message, { details: { field: 'Content-Encoding' } })
}

function strayBody({ method, headers }: FastifyRequest): MusterError | undefined {
  if (headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0) return undefined
  return new MusterError('invalid_request', `a ${method} takes its fields in the query; it came with a body`)
}

function shown(value: string): string {
  return JSON.stringify(value.slice(0, 100))
}
