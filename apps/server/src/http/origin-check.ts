/**
 * Refuses requests that a page of another site made a browser send: by the Host header (DNS rebinding), by the Origin
 * header (cross-site requests), and by Sec-Fetch-Site where the browser adds the password by itself. Programs send
 * neither of the last two, so they are not affected.
 *
 * It does not decide who may call; `authentication.ts` does.
 */
import { MusterError } from '@muster/contract'
import type { Logger } from '@muster/runtime'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { CalledAddress, Way } from './called-address.ts'
import { isHealthRoute } from './health.ts'
import { isLoopback, readAuthority, readOrigin } from './host-name.ts'
import { sendProblem } from './problems.ts'

/** An address that means "all addresses" is not a name that a caller can use. */
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** Headers of which two readers might each take another. */
const GIVEN_ONCE: ReadonlyMap<string, string> = new Map(
  [
    'Host',
    'Origin',
    'Authorization',
    'Content-Type',
    'Content-Encoding',
    'Sec-Fetch-Site',
    'Idempotency-Key',
    'Last-Event-ID',
    'Mcp-Protocol-Version',
    'Mcp-Method',
    'Mcp-Name',
  ].map((name) => [name.toLowerCase(), name]),
)

/** Which names the server answers to. */
export type OwnNames = {
  /** The address or name that it listens on. */
  readonly listensOn: string
  /** Names without ports that Host may carry besides. */
  readonly allowedHosts: readonly string[]
  /** Whether it speaks TLS. If not, a proxy does, and allowed names stand for `https` on its usual port as well. */
  readonly hasTls: boolean
}

/** Checks every request, even for routes that do not exist. Health routes take any Host. */
export function addOriginCheck(app: FastifyInstance, own: OwnNames, way: Way, logger: Logger): void {
  const names = [own.listensOn, ...own.allowedHosts].map((name) => name.toLowerCase())
  const hosts: ReadonlySet<string> = new Set(names.filter((name) => !WILDCARDS.has(name)))
  const origins: ReadonlySet<string> = new Set(own.hasTls ? [] : own.allowedHosts.map((name) => `https://${name}`))
  app.addHook('onRequest', async (request, reply) => {
    try {
      refuseTwice(request)
      // A supervisor needs no key and learns no secret, so it does not matter by which way it came.
      if (isHealthRoute(request) && request.headers.origin === undefined) return
      const called = way.called(request)
      if (!isHealthRoute(request)) checkHost(request, called, hosts)
      checkOrigin(request, called, origins)
      checkFetchSite(request)
    } catch (error) {
      await sendProblem(reply, request, error, logger)
    }
  })
}

function refuseTwice({ raw }: FastifyRequest): void {
  const counts = new Map<string, number>()
  for (let at = 0; at < raw.rawHeaders.length; at += 2) {
    const name = GIVEN_ONCE.get((raw.rawHeaders[at] ?? '').toLowerCase())
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  for (const [field, count] of counts) {
    if (count > 1)
      throw new MusterError('invalid_request', `${field}: given ${count} times; give it once`, { details: { field } })
  }
}

function checkHost(request: FastifyRequest, { host }: CalledAddress, hosts: ReadonlySet<string>): void {
  if (!request.url.startsWith('/')) {
    const received = `the request names ${quoted(request.url)}`
    const message = `${received}; this server is no proxy, and takes a path that begins with "/"`
    throw new MusterError('invalid_request', message)
  }
  const details = { field: 'Host' }
  const name = readAuthority(host ?? '')?.name
  if (name === undefined) {
    const received = host === undefined ? 'it is missing' : `received ${quoted(host)}`
    throw new MusterError('invalid_request', `Host: ${received}; accepted: a name, maybe with a port`, { details })
  }
  if (isLoopback(name) || hosts.has(name) || name === localAddress(request)) return
  throw new MusterError('forbidden_origin', `this server does not answer for the Host ${quoted(host)}`, { details })
}

function checkOrigin(request: FastifyRequest, { scheme, host }: CalledAddress, origins: ReadonlySet<string>): void {
  const { origin } = request.headers
  if (origin === undefined) return
  const read = readOrigin(origin)
  const own = readOrigin(`${scheme}://${host}`)
  if (read !== undefined && (read === own || origins.has(read))) return
  const told = own === undefined ? '' : `; its own is ${own}`
  const message = `pages of the Origin ${quoted(origin)} may not call this server${told}`
  throw new MusterError('forbidden_origin', message, { details: { field: 'Origin' } })
}

/** A browser adds a password that it was given once to every request, whichever page made it send that. */
function checkFetchSite({ headers }: FastifyRequest): void {
  const site = headers['sec-fetch-site']
  if (site === undefined || !/^\s*basic\b/i.test(headers.authorization ?? '')) return
  if (site === 'same-origin' || site === 'none') return
  const why = `Sec-Fetch-Site is ${quoted(String(site))}: a page of another site made the browser send its password`
  const advice = 'open the address yourself, or send the key as a bearer token'
  throw new MusterError('forbidden_origin', `${why}; ${advice}`, { details: { field: 'Sec-Fetch-Site' } })
}

/** On an IPv6 socket, Node writes an IPv4 address as ::ffff:192.0.2.1. */
function localAddress(request: FastifyRequest): string | undefined {
  return request.socket.localAddress?.replace(/^::ffff:/i, '').toLowerCase()
}

function quoted(text = ''): string {
  return JSON.stringify(text.slice(0, 100))
}
