/**
 * Which machine a host is: its address and port, and those of the jump hosts on the way to it, however they are written.
 *
 * Looks nothing up: two host names of one machine are two machines here, as is an address behind two jump hosts.
 */
import { isIPv6, SocketAddress } from 'node:net'
import type { HostDraft } from './inventory-host.ts'

/** The one name that means the same everywhere. @see RFC 6761, section 6.3 */
const LOOPBACK = '127.0.0.1'

/**
 * The machine of a host, such as `203.0.113.7:22>10.0.0.5:22`: equal texts, one machine. Of a host whose jump hosts lead
 * nowhere, which findJumpFaults tells, it is as much as is known.
 */
export function machineOf(host: HostDraft, named: ReadonlyMap<string, HostDraft>): string {
  const steps: string[] = []
  const walked = new Set<HostDraft>()
  for (let at: HostDraft | undefined = host; at !== undefined && !walked.has(at); ) {
    walked.add(at)
    steps.unshift(`${plainAddress(at.address)}:${at.port}`)
    const { jump }: HostDraft = at
    at = jump === undefined ? undefined : named.get(jump)
    if (jump !== undefined && at === undefined) steps.unshift(jump)
  }
  return steps.join('>')
}

/** One text for all spellings of an address: `[::1]`, an IPv4 address mapped into IPv6, capitals, the dot of the root. */
function plainAddress(address: string): string {
  const [number = '', zone] = address.split('%')
  if (!isIPv6(number)) {
    const name = address.toLowerCase().replace(/\.$/, '')
    return name === 'localhost' ? LOOPBACK : name
  }
  const { address: written } = new SocketAddress({ address: number, family: 'ipv6' })
  const [, mapped] = /^::ffff:([\d.]+)$/.exec(written) ?? []
  return mapped ?? `[${written}${zone === undefined ? '' : `%${zone}`}]`
}
