/** Names and addresses as they stand in Host and Origin (RFC 9110, section 7.2; RFC 6454, section 6.2). */
import { BlockList, isIP } from 'node:net'
import { isIn } from './networks.ts'

/** A name or IPv4 address, or an IPv6 address in brackets, and maybe a port. */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i

/** Whom a request or a page names, in lower case. */
export type Authority = {
  /** Without brackets and port. */
  readonly name: string
  readonly hasPort: boolean
}

/** Reads the value of a Host header; undefined for one that names nobody. */
export function readAuthority(text: string): Authority | undefined {
  const [, name, port] = AUTHORITY.exec(text) ?? []
  if (name === undefined || !URL.canParse(`http://${text}`)) return undefined
  return { name: name.replace(/^\[|\]$/g, '').toLowerCase(), hasPort: port !== undefined }
}

/**
 * An origin in the one form that can be compared: scheme, host and port, without a port that goes without saying.
 * Undefined for anything that is not exactly these, such as one with a user or a path, and for the origin `null`.
 */
export function readOrigin(text: string): string | undefined {
  const [, scheme, authority = ''] = /^(https?):\/\/(.*)$/i.exec(text) ?? []
  const read = readAuthority(authority)
  if (scheme === undefined || read === undefined) return undefined
  const { origin, hostname } = new URL(`${scheme}://${authority}`)
  // A URL parser takes 127.1 for 127.0.0.1. No browser writes that, and no two readers agree on it.
  return hostname.replace(/^\[|\]$/g, '') === read.name ? origin : undefined
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

/** Whether a name or address means this computer only. IPv4 addresses may be written in IPv6. */
export function isLoopback(name: string): boolean {
  return isIP(name) === 0 ? name === 'localhost' : isIn(LOOPBACK, name)
}
