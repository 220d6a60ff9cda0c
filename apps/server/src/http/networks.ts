/** Addresses and networks, as an operator lists them: `10.0.0.5, 192.168.0.0/16, fd00::/8`. */
import { BlockList, isIP } from 'node:net'

const BITS = { 4: 32, 6: 128 } as const
/** A wider network is no list of proxies: a few of them are everybody. */
const LEAST_BITS = { 4: 8, 6: 7 } as const
/** IPv4 addresses written in IPv6. */
const MAPPED = { address: '::ffff:0:0', bits: 96 } as const

/** The networks of a list, or what would have been accepted in place of the first mistake. */
export function readNetworks(list: string): { readonly networks: BlockList } | { readonly accepted: string } {
  const networks = new BlockList()
  for (const item of list.split(',').map((text) => text.trim())) {
    const [, address = '', prefix] = /^([0-9a-f:.]+)(?:\/(\d{1,3}))?$/i.exec(item) ?? []
    const version = isIP(address)
    if (version !== 4 && version !== 6) {
      return {
        accepted: `addresses and networks such as 10.0.0.5 or 10.0.0.0/8, separated by ","; ${quoted(item)} is none`,
      }
    }
    const bits = Number(prefix ?? BITS[version])
    if (bits > BITS[version]) return { accepted: `networks of at most /${BITS[version]}; ${quoted(item)} has more` }
    if (isWide(address, version, bits)) {
      const least = `networks of at least /${LEAST_BITS[4]} for IPv4 and /${LEAST_BITS[6]} for IPv6`
      return { accepted: `the proxies alone, as ${least}; ${quoted(item)} is nearly everybody` }
    }
    networks.addSubnet(address, bits, version === 4 ? 'ipv4' : 'ipv6')
  }
  return { networks }
}

/** Whether an address is in one of the networks. IPv4 addresses may be written in IPv6. */
export function isIn(networks: BlockList, address: string): boolean {
  // A link-local address names its interface too: fe80::1%eth0.
  const [bare = ''] = address.split('%')
  const version = isIP(bare)
  return version !== 0 && networks.check(bare, version === 4 ? 'ipv4' : 'ipv6')
}

function isWide(address: string, version: 4 | 6, bits: number): boolean {
  if (bits < LEAST_BITS[version]) return true
  if (version === 4 || bits >= MAPPED.bits + LEAST_BITS[4]) return false
  // It may hold all IPv4 addresses, or be a wide part of them.
  const [own, mapped] = [new BlockList(), new BlockList()]
  own.addSubnet(address, bits, 'ipv6')
  mapped.addSubnet(MAPPED.address, MAPPED.bits, 'ipv6')
  return own.check(MAPPED.address, 'ipv6') || mapped.check(address, 'ipv6')
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 60))
}
