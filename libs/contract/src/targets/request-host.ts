/**
 * Hosts that a request names itself, as an OpenSSH user types them: `user@host`, `user@host:port`, `user@2001:db8::5`,
 * `ssh://user@[2001:db8::5]:2222`. The text that `writeRequestHost` makes is the one name of such a host.
 *
 * The grammar is closed: nothing in it can be an option of a program, a shell's sign or a token such as `%h`.
 */
import { z } from 'zod'
import { SSH_PORT } from '../text/known-hosts.ts'
import { expected, isHostName, matchAt } from './host-range.ts'

/** A host that a request names: its address in one spelling, IPv6 without brackets. */
export type RequestHost = {
  /** Absent where only `ssh://host` was written. */
  readonly user?: string
  readonly address: string
  /** Absent: not written. */
  readonly port?: number
}

/** A user to log in as: letters, digits, ".", "_", "-", "+"; it begins with a letter, a digit or "_". */
export const LOGIN_USER = /^[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}$/

const PORT_LIMIT = 65_535

/** Longest name of a host of a request: user, address and port. */
export const REQUEST_HOST_CHARS = 64 + 1 + 255 + 6

const SCHEME = /ssh:\/\//y
const USER_AT = /[A-Za-z0-9_][A-Za-z0-9._+-]*@/y
const BRACKETS = /\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]{1,15})?\]/y
const BARE = /[A-Za-z0-9._:-]+(?:%[A-Za-z0-9._-]{1,15})?/y
const PORT = /:\d+/y

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/
/** What resolvers read as a part of an IPv4 address: 10.1 is 10.0.0.1, and 0x7f.1 is 127.0.0.1. */
const NUMBER = /^(\d*|0x[\da-f]*)$/

const IPv4 = z.ipv4()
const IPv6 = z.ipv6()

/**
 * Reads the host of a request that begins at a position; undefined when none begins there.
 * @throws {MusterError} invalid_target, with `details.position`
 */
export function requestHostAt(text: string, at: number): { host: RequestHost; end: number } | undefined {
  const scheme = matchAt(SCHEME, text, at)
  const user = matchAt(USER_AT, text, at + scheme.length)
  if (scheme === '' && user === '') return undefined
  const name = user.slice(0, -1)
  if (user !== '' && !LOGIN_USER.test(name)) throw expected('a user of at most 64 characters', text, at + scheme.length)
  const from = at + scheme.length + user.length
  const { address, port, end } = readAddress(text, from)
  // A URL may end in a slash.
  const last = scheme !== '' && text[end] === '/' ? end + 1 : end
  return { host: { ...(user === '' ? {} : { user: name }), address, ...(port && { port }) }, end: last }
}

function readAddress(text: string, at: number): { address: string; port: number | undefined; end: number } {
  const inBrackets = matchAt(BRACKETS, text, at)
  const bare = inBrackets === '' ? matchAt(BARE, text, at) : ''
  const isNumber = isIpV6(bare)
  const host = inBrackets === '' ? (isNumber ? bare : (bare.split(':')[0] ?? '')) : inBrackets.slice(1, -1)
  const address = plainRequestAddress(host)
  const isFaulty = address === undefined || (inBrackets !== '' && !isIpV6(host))
  if (isFaulty) throw expected('a host name, or an address such as 10.0.0.5 or [2001:db8::5]', text, at)
  const hostEnd = at + (inBrackets === '' ? host.length : inBrackets.length)
  const portText = matchAt(PORT, text, hostEnd)
  const port = portText === '' ? undefined : Number(portText.slice(1))
  const isPort = port === undefined || (portText.length <= 6 && port >= 1 && port <= PORT_LIMIT)
  const end = hostEnd + portText.length
  // What follows would be a part of the address: `host:22x`, `host%h`, a second `:`.
  const isOver = text[end] === undefined || !/[A-Za-z0-9._:%@[-]/.test(text.charAt(end))
  if (!isPort || !isOver)
    throw expected(`the end of the host, or ":" and a port from 1 to ${PORT_LIMIT}`, text, hostEnd)
  return { address, port, end }
}

/**
 * The address in its one spelling: names in small letters and without a final dot, IPv6 as short as it can be, IPv4
 * mapped into IPv6 as IPv4. Undefined for what is no address.
 */
export function plainRequestAddress(text: string): string | undefined {
  if (isIpV6(text)) return plainIpV6(text)
  if (IPv4.safeParse(text).success) return text
  const name = text.toLowerCase().replace(/\.$/, '')
  const parts = name.split('.')
  const isName = name.length <= 253 && isHostName(name) && parts.every((part) => LABEL.test(part))
  return isName && !parts.every((part) => NUMBER.test(part)) ? name : undefined
}

/** Whether the text is an IPv6 address, maybe with a zone. */
function isIpV6(text: string): boolean {
  return IPv6.safeParse(text.split('%')[0] ?? '').success
}

function plainIpV6(text: string): string {
  const [number = '', zone] = text.split('%')
  const written = new URL(`http://[${number}]`).hostname.slice(1, -1)
  const [, high, low] = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(written) ?? []
  if (high === undefined || low === undefined) return zone === undefined ? written : `${written}%${zone}`
  const bytes = [high, low].flatMap((half) => [Number.parseInt(half, 16) >> 8, Number.parseInt(half, 16) & 255])
  return bytes.join('.')
}

/** The name of the host: `root@10.0.0.5`, `root@10.0.0.5:2222`, `root@[2001:db8::5]`. */
export function writeRequestHost({ user, address, port = SSH_PORT }: RequestHost & { readonly user: string }): string {
  const host = address.includes(':') ? `[${address}]` : address
  return `${user}@${host}${port === SSH_PORT ? '' : `:${port}`}`
}

/** The host that a whole text names; undefined when it names none. */
export function parseRequestHost(text: string): RequestHost | undefined {
  try {
    const read = requestHostAt(text, 0)
    return read?.end === text.length ? read.host : undefined
  } catch {
    return undefined
  }
}

/** Whether the text can be the name of one host: of the inventory, or of a request. */
export function isOneHost(text: string): boolean {
  return isHostName(text) || parseRequestHost(text) !== undefined
}
