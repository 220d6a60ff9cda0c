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
import { isIn } from './networks.ts'

/** Under which name a caller reached the server, and over TLS or not. */
export type CalledAddress = {
  readonly scheme: 'http' | 'https'
  /** The Host that the caller named. Absent if it named none. */
  readonly host: string | undefined
}

/** Reads the way of a request. */
export type Way = {
  /** @throws {MusterError} invalid_request, when a proxy that is believed says what cannot be */
  called(request: FastifyRequest): CalledAddress
  /** The address of the caller, as far as it can be believed. */
  clientOf(request: FastifyRequest): string
}

/** Makes the reader. `trusted` are the addresses of the proxies that are believed. */
export function createWay(trusted: BlockList): Way {
  return {
    called: ({ socket, headers }) => {
      const own: CalledAddress = { scheme: 'encrypted' in socket ? 'https' : 'http', host: headers.host }
      if (!isIn(trusted, socket.remoteAddress ?? '')) return own
      const said = (name: string) => lastOf(headers[name])
      return {
        scheme: schemeOf(said('x-forwarded-proto')) ?? own.scheme,
        host: hostOf(said('x-forwarded-host'), said('x-forwarded-port')) ?? own.host,
      }
    },
    clientOf: ({ socket, headers }) => {
      const peer = socket.remoteAddress ?? ''
      if (!isIn(trusted, peer)) return peer
      // Whatever stands before the last address that is not a proxy of ours, a caller may have made up.
      const said = listed(headers['x-forwarded-for']).findLast((address) => !isIn(trusted, address))
      return said === undefined || isIP(said) === 0 ? peer : said
    },
  }
}

/** A proxy adds to what its caller sent, at the end: only the end is its own word. */
function lastOf(header: string | string[] | undefined): string | undefined {
  return listed(header).at(-1) || undefined
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

function listed(header: string | string[] | undefined): string[] {
  const items = [header].flat().join(',').split(',')
  return items.map((item) => item.trim())
}

function refusal(field: string, given: string | undefined, accepted: string): MusterError {
  const received = JSON.stringify(given?.slice(0, 100))
  const advice = 'correct the proxy that sends it'
  const message = `${field}: received ${received}; accepted: ${accepted}; ${advice}`
  return new MusterError('invalid_request', message, { details: { field } })
}
