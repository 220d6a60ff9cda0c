/**
 * Refuses requests that a page of another site made a browser send: by the Host header (DNS rebinding) and by the
 * Origin header (cross-site requests). Programs send no Origin, so they are not affected.
 *
 * It does not decide who may call; `authentication.ts` does.
 */
import { MusterError } from '@muster/contract'
import type { Logger } from '@muster/runtime'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { sendProblem } from './problems.ts'

/** A name or IPv4 address, or an IPv6 address in brackets, and an optional port (RFC 9110, section 7.2). */
const HOST_HEADER = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i

/** An address that means "all addresses" is not a name that a caller can use. */
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::', ''])

/**
 * Checks every request, even for routes that do not exist. `allowedHosts` are names without ports that are allowed in
 * addition to loopback and to the address on which the connection came in.
 */
export function addOriginCheck(app: FastifyInstance, allowedHosts: readonly string[], logger: Logger): void {
  const allowed = new Set(allowedHosts.map((name) => name.toLowerCase()).filter((name) => !WILDCARDS.has(name)))
  app.addHook('onRequest', async (request, reply) => {
    const trouble = findTrouble(request, allowed)
    if (trouble === undefined) return
    await sendProblem(reply, request, new MusterError('forbidden_origin', trouble), logger)
  })
}

/** Whether a name or address means this computer only. */
export function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name)
}

function findTrouble(request: FastifyRequest, allowed: ReadonlySet<string>): string | undefined {
  const hostHeader = request.headers.host ?? ''
  const name = nameIn(hostHeader)
  if (name === undefined || !(isLoopback(name) || allowed.has(name) || name === localAddress(request))) {
    return `this server does not answer for the Host ${JSON.stringify(hostHeader.slice(0, 100))}`
  }
  const { origin } = request.headers
  if (origin === undefined) return undefined
  const isOurs = URL.canParse(origin) && /^https?:/.test(origin) && isSameSite(new URL(origin), hostHeader, allowed)
  return isOurs ? undefined : `pages of the Origin ${JSON.stringify(origin.slice(0, 100))} may not call this server`
}

/** Whether the origin has the host and port of the request itself, or an allowed name. Another port is another site. */
function isSameSite(origin: URL, hostHeader: string, allowed: ReadonlySet<string>): boolean {
  // Both are parsed as URLs, so that spelling out a default port makes no difference.
  return origin.host === new URL(`${origin.protocol}//${hostHeader}`).host || allowed.has(origin.hostname)
}

function nameIn(hostHeader: string): string | undefined {
  const [, ipv6, name] = HOST_HEADER.exec(hostHeader) ?? []
  return (ipv6 ?? name)?.toLowerCase()
}

/** On an IPv6 socket, Node writes an IPv4 address as ::ffff:192.0.2.1. */
function localAddress(request: FastifyRequest): string | undefined {
  return request.socket.localAddress?.replace(/^::ffff:/i, '').toLowerCase()
}
