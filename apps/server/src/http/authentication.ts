/**
 * Requires an API key of every request but those to the two health routes: as a bearer token, or as the password of
 * HTTP Basic, so that a browser can open the board and the documentation.
 */
import type { KeyStore, Principal } from '@muster/access'
import { MusterError, NO_LIMITS } from '@muster/contract'
import type { Logger } from '@muster/runtime'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isHealthRoute } from './health.ts'
import { CHALLENGE, sendProblem } from './problems.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The owner of the request's key. A request that is refused has a principal that may do nothing. */
    principal: Principal
  }
}

/** How often the key of a long-running answer is checked again. */
const LOOK_AGAIN_MS = 2_000

/**
 *  Returns a signal that aborts soon after the key of a request is revoked or expires. Watches until the answer ends.
 */
export type KeyWatch = (request: FastifyRequest, reply: FastifyReply) => AbortSignal

const NOBODY: Principal = { keyId: '', owner: '', scopes: new Set(), limits: NO_LIMITS, shares: [], countsWith: '' }

/** Checks the key of every request, even for routes that do not exist, so that nobody learns which routes exist. */
export function addAuthentication(app: FastifyInstance, keys: KeyStore, logger: Logger): void {
  const principals = new WeakMap<FastifyRequest, Principal>()
  // The request log reads it even when the origin check refused the request before this hook.
  app.decorateRequest('principal', {
    getter() {
      return principals.get(this) ?? NOBODY
    },
    setter(principal) {
      principals.set(this, principal)
    },
  })
  app.addHook('onRequest', async (request, reply) => {
    if (isHealthRoute(request)) return
    try {
      request.principal = await authenticate(request, keys)
    } catch (error) {
      if (error instanceof MusterError && error.code === 'unauthorized') {
        const why = request.headers.authorization === undefined ? '' : ', error="invalid_token"'
        reply.header('www-authenticate', ['Basic realm="Muster", charset="UTF-8"', `${CHALLENGE}${why}`])
      }
      await sendProblem(reply, request, error, logger)
    }
  })
}

/** Makes a watch over the keys of requests that were let in. */
export function createKeyWatch(keys: KeyStore): KeyWatch {
  return (request, reply) => {
    const refused = new AbortController()
    const look = async () => {
      try {
        await authenticate(request, keys)
      } catch (error) {
        // While Redis is away nobody knows whether the key is still valid; the answer itself will fail then.
        if (error instanceof MusterError && error.code === 'unauthorized') refused.abort(error)
      }
    }
    const timer = setInterval(() => void look(), LOOK_AGAIN_MS)
    if (reply.raw.destroyed) clearInterval(timer)
    else reply.raw.once('close', () => clearInterval(timer))
    return refused.signal
  }
}

async function authenticate(request: FastifyRequest, keys: KeyStore): Promise<Principal> {
  const { authorization } = request.headers
  if (authorization === undefined) throw new MusterError('unauthorized', 'the request has no Authorization header')
  const text = keyIn(authorization)
  if (text === undefined) {
    throw new MusterError(
      'unauthorized',
      'the Authorization header is neither "Bearer <key>" nor Basic with the key as password',
    )
  }
  const check = await keys.verifyKey(text)
  switch (check.kind) {
    case 'valid':
      return check.principal
    case 'unknown':
      throw new MusterError('unauthorized', 'the API key is unknown')
    case 'revoked':
    case 'expired': {
      const what = check.kind === 'revoked' ? 'was revoked' : 'expired'
      throw new MusterError('unauthorized', `the API key ${check.keyId} ${what} at ${check.at}`)
    }
    default:
      return check satisfies never
  }
}

/** The text of the API key in a header, by either scheme; undefined when there is none. */
export function keyIn(authorization: string): string | undefined {
  const [, scheme = '', credentials = ''] = /^(bearer|basic) +(\S+)$/i.exec(authorization.trim()) ?? []
  if (scheme.toLowerCase() === 'bearer') return credentials
  if (scheme === '') return undefined
  const pair = Buffer.from(credentials, 'base64').toString()
  return pair.includes(':') ? pair.slice(pair.indexOf(':') + 1) : undefined
}
