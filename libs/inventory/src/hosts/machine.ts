/**
 * Which machine a host is: its address and port and those of its jump hosts, however they are written.
 *
 * This looks nothing up: one machine with two host names counts as two, as does one behind two different jump hosts.
 */
import { isIPv6, SocketAddress } from 'node:net'
import type { HostDraft } from './inventory-host.ts'

/** The address of `localhost`, the one name that means the same everywhere. @see RFC 6761, section 6.3 */
const LOOPBACK = '127.0.0.1'

/**
 * The machine of a host, such as `203.0.113.7:22>10.0.0.5:22`: equal texts mean one machine. When a jump host is
 * missing or they form a circle, which `findJumpFaults` reports, it is as much as is known.
 */
export function machineOf(host: HostDraft, named: ReadonlyMap<string, HostDraft>): string {
  const steps: string[] = []
  const walked = new Set<HostDraft>()
  for (let at: HostDraft | undefined = host; at !== undefined && !walked.has(at); ) {
    walked.add(at)
    steps.unshift(...proxyStep(at), stepOf(at.address, at.port))
    const { jump, hops }: HostDraft = at
    if (hops !== undefined)
      return [...hops.flatMap(({ host: hop }) => [...proxyStep(hop), stepOf(hop.address, hop.port)]), ...steps].join(
        '>',
      )
    at = jump === undefined ? undefined : named.get(jump)
    if (jump !== undefined && at === undefined) steps.unshift(jump)
  }
  return steps.join('>')
}

/** Behind another program the same address may be another machine. */
function proxyStep({ proxy }: HostDraft): string[] {
  return proxy === undefined ? [] : [JSON.stringify(proxy)]
}

/** An address and a port on the way to a machine. */
export function stepOf(address: string, port: number): string {
  return `${plainAddress(address)}:${port}`
}

/** One spelling for all spellings of an address: capitals, a final dot, IPv6 forms, IPv4 mapped into IPv6. */
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
