/**
 * Which names this server answers to. A web page that resolves its own name to 127.0.0.1 (DNS rebinding) sends its
 * name in Host, and a page of another site sends its name in Origin: both are refused, key or no key.
 */
import { isIP } from 'node:net'
import { MusterError } from '@muster/contract'
import type { FastifyInstance } from 'fastify'

const LOOPBACK: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

/** Refuses requests whose Host, or Origin if there is one, is not a name of this server. */
export function checkOrigins(
  app: FastifyInstance,
  options: { listenHost: string; allowedHosts: readonly string[] },
): void {
  const isWildcard = options.listenHost === '0.0.0.0' || options.listenHost === '::'
  const names = new Set(
    [...LOOPBACK, bracketed(options.listenHost), ...options.allowedHosts].map((name) => name.toLowerCase()),
  )
  // Listening on all addresses, a caller may use any of them; a name is still only good when it was allowed.
  const isAllowed = (name: string) => names.has(name) || (isWildcard && isIP(name.replace(/^\[|\]$/g, '')) !== 0)
  app.addHook('onRequest', async (request) => {
    const host = hostName(`http://${request.headers.host ?? ''}`)
    if (host === undefined || !isAllowed(host)) {
      throw new MusterError('forbidden_origin', `Host "${request.headers.host ?? ''}" is no name of this server`)
    }
    const { origin } = request.headers
    if (origin === undefined) return
    const site = hostName(origin)
    if (site === undefined || !isAllowed(site)) {
      throw new MusterError('forbidden_origin', `Origin "${origin}" is no name of this server`)
    }
  })
}

function hostName(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname.toLowerCase() : undefined
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
