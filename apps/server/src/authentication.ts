/**
 * Who asks: an API key as a Bearer token, or as the password of HTTP Basic for a browser. Every route needs one but
 * the health routes; a new route needs one too, because the rule is in a hook and not at the routes.
 */
import type { KeyStore } from '@muster/access'
import { MusterError } from '@muster/contract'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { sendProblem } from './problems.ts'

/** The routes that answer anybody. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/livez', '/readyz'])

/** Who makes a request: the ID of an API key. */
export type Caller = { readonly keyId: string }

const callers = new WeakMap<FastifyRequest, Caller>()

/** Refuses every request without a good key. */
export function requireKeys(app: FastifyInstance, keys: KeyStore): void {
  app.addHook('onRequest', async (request, reply) => {
    if (OPEN_PATHS.has(request.routeOptions.url ?? '')) return
    const key = keyOf(request.headers.authorization)
    const caller = key === undefined ? undefined : await keys.verifyKey(key)
    if (caller !== undefined) {
      callers.set(request, caller)
      return
    }
    const detail = key === undefined ? 'no API key was given' : 'the API key is unknown or revoked'
    reply.header('www-authenticate', ['Bearer realm="muster"', 'Basic realm="muster", charset="UTF-8"'])
    await sendProblem(reply, new MusterError('unauthorized', detail))
  })
}

/** Who makes this request. */
export function callerOf(request: FastifyRequest): Caller {
  const caller = callers.get(request)
  if (caller === undefined) throw new MusterError('unauthorized', 'no API key was given')
  return caller
}

function keyOf(header: string | undefined): string | undefined {
  const [, scheme = '', credentials = ''] = /^(\w+) +(\S+)$/.exec(header ?? '') ?? []
  if (scheme.toLowerCase() === 'bearer') return credentials
  if (scheme.toLowerCase() !== 'basic') return undefined
  const text = Buffer.from(credentials, 'base64').toString('utf8')
  return text.slice(text.indexOf(':') + 1)
}
