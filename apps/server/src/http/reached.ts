/**
 * How a request reached the server: from which address, under which name, and over TLS or not.
 *
 * A proxy in front says so in `X-Forwarded-For`, `X-Forwarded-Host`, `X-Forwarded-Port` and `X-Forwarded-Proto`. Only
 * proxies that the operator has named are believed; from anybody else these headers count as not sent.
 */
import { type BlockList, isIP } from 'node:net'
import { MusterError } from '@muster/contract'
import type { FastifyRequest } from 'fastify'
import { readAuthority } from './host-name.ts'

/** What is known of the way of a request. */
export type Reached = {
  readonly scheme: 'http' | 'https'
  /** The Host that the caller named. Absent if it named none. */
  readonly host: string | undefined
  /** The address of the caller, as far as it can be believed. */
  readonly client: string
}

/** Reads the way of a request. */
export type ReachedBy = (request: FastifyRequest) => Reached

/**
 * Makes the reader. `trusted` are the addresses of the proxies that are believed.
 * @throws {MusterError} invalid_request, when such a proxy sends what cannot be
 */
export function createReachedBy(trusted: BlockList): ReachedBy {
  return ({ socket, headers }) => {
    const peer = socket.remoteAddress ?? ''
    const own: Reached = { scheme: 'encrypted' in socket ? 'https' : 'http', host: headers.host, client: peer }
    if (!isIn(trusted, peer)) return own
    const said = (name: string) => lastOf(headers[name])
    return {
      scheme: schemeOf(said('x-forwarded-proto')) ?? own.scheme,
      host: hostOf(said('x-forwarded-host'), said('x-forwarded-port')) ?? own.host,
      client: clientOf(headers['x-forwarded-for'], trusted) ?? own.client,
    }
  }
}

function isIn(networks: BlockList, address: string): boolean {
  const version = isIP(address)
  return version !== 0 && networks.check(address, version === 4 ? 'ipv4' : 'ipv6')
}

/** A proxy adds to what its caller sent, at the end: only the end is its own word. */
function lastOf(header: string | string[] | undefined): string | undefined {
  return [header].flat().join(',').split(',').at(-1)?.trim() || undefined
}

function schemeOf(said: string | undefined): 'http' | 'https' | undefined {
  const scheme = said?.toLowerCase()
  if (scheme === undefined || scheme === 'http' || scheme === 'https') return scheme
  throw refusal('X-Forwarded-Proto', said, 'http or https')
}

function hostOf(said: string | undefined, port: string | undefined): string | undefined {
  if (said === undefined) return undefined
  const authority = readAuthority(said)
  if (authority === undefined) throw refusal('X-Forwarded-Host', said, 'a name, maybe with a port')
  if (port === undefined || authority.hasPort) return said
  if (readAuthority(`${said}:${port}`) === undefined) throw refusal('X-Forwarded-Port', port, 'a port')
  return `${said}:${port}`
}

/** The last address that is not a proxy of ours: whatever stands before it, a caller may have made up. */
function clientOf(said: string | string[] | undefined, trusted: BlockList): string | undefined {
  const addresses = [said].flat().join(',').split(',')
  const client = addresses.map((address) => address.trim()).findLast((address) => !isIn(trusted, address))
  return client !== undefined && isIP(client) !== 0 ? client : undefined
}

function refusal(field: string, given: string | undefined, accepted: string): MusterError {
  const received = JSON.stringify(given?.slice(0, 100))
  const advice = 'correct the proxy that sends it'
  const message = `${field}: received ${received}; accepted: ${accepted}; ${advice}`
  return new MusterError('invalid_request', message, { details: { field } })
}
