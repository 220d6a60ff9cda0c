/**
 * Asks every request for an API key, but for the two health routes: as a bearer token, or as the password of HTTP Basic
 * so that a browser can open the board and the documentation.
 */
import type { KeyStore } from '@muster/access'
import { MusterError } from '@muster/contract'
import type { Logger } from '@muster/runtime'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { sendProblem } from './problems.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The ID of the API key; empty on the health routes. */
    keyId: string
  }
}

/** For load balancers and supervisors, which have no key. They tell nothing but that the process is well. */
const OPEN_ROUTES: ReadonlySet<string> = new Set(['/livez', '/readyz'])

/** Checks the key of every request, also of those for routes that do not exist, so that nobody can look around. */
export function addAuthentication(app: FastifyInstance, keys: KeyStore, logger: Logger): void {
  app.decorateRequest('keyId', '')
  app.addHook('onRequest', async (request, reply) => {
    // Refused already by the origin check.
    if (reply.sent || OPEN_ROUTES.has(request.routeOptions.url ?? '')) return
    try {
      request.keyId = await authenticate(request, keys)
    } catch (error) {
      if (error instanceof MusterError && error.code === 'unauthorized') {
        reply.header('www-authenticate', ['Basic realm="Muster", charset="UTF-8"', 'Bearer realm="Muster"'])
      }
      await sendProblem(reply, request, error, logger)
    }
  })
}

async function authenticate(request: FastifyRequest, keys: KeyStore): Promise<string> {
  const { authorization } = request.headers
  if (authorization === undefined) throw new MusterError('unauthorized', 'the request has no Authorization header')
  const key = keyIn(authorization)
  if (key === undefined) {
    throw new MusterError(
      'unauthorized',
      'the Authorization header is neither "Bearer <key>" nor Basic with the key as password',
    )
  }
  const known = await keys.verifyKey(key)
  if (known === undefined) throw new MusterError('unauthorized', 'the API key is unknown or revoked')
  return known.keyId
}

function keyIn(authorization: string): string | undefined {
  const [, scheme = '', credentials = ''] = /^(bearer|basic) +(\S+)$/i.exec(authorization.trim()) ?? []
  if (scheme.toLowerCase() === 'bearer') return credentials
  if (scheme === '') return undefined
  const pair = Buffer.from(credentials, 'base64').toString()
  return pair.includes(':') ? pair.slice(pair.indexOf(':') + 1) : undefined
}
