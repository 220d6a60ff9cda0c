/**
 * Which hosts a list of networks and name patterns stands for: `10.0.0.0/8, 2001:db8::/32, *.example.com`. A network
 * matches addresses, and a pattern matches names; nothing is looked up.
 */
import { BlockList, isIP } from 'node:net'
import { plainRequestAddress } from '@muster/contract'

/** The hosts of a list. */
export type HostMatcher = {
  /** Whether a pattern matches this name. False for an address. */
  hasName(name: string): boolean
  /** Whether a network holds this address. False for a name. */
  hasAddress(address: string): boolean
  readonly hasNetworks: boolean
}

const BITS = { 4: 32, 6: 128 } as const
const PATTERN = /^[A-Za-z0-9._*?-]{1,253}$/
/** Meant as addresses, which a pattern does not match. */
const LIKE_ADDRESSES = /^[\d.*?]*[\d.][\d.*?]*$/

/** The matcher of these items, or what is wrong with the first one that is neither a network nor a pattern. */
export function readHostMatcher(items: readonly string[]): HostMatcher | { readonly mistake: string } {
  const networks = new BlockList()
  const patterns: RegExp[] = []
  for (const item of items) {
    const [, address = '', prefix] = /^([0-9a-f:.]+)(?:\/(\d{1,3}))?$/i.exec(item) ?? []
    const version = isIP(address)
    if (version === 4 || version === 6) {
      const bits = Number(prefix ?? BITS[version])
      if (bits > BITS[version]) return { mistake: `${quoted(item)}: a network has at most /${BITS[version]}` }
      networks.addSubnet(address, bits, version === 4 ? 'ipv4' : 'ipv6')
    } else if (PATTERN.test(item) && !LIKE_ADDRESSES.test(item)) patterns.push(patternOf(item))
    else
      return { mistake: `${quoted(item)} is neither a network such as 10.0.0.0/8 nor a pattern such as *.example.com` }
  }
  return {
    hasNetworks: networks.rules.length > 0,
    hasName: (name) => isIP(bare(name)) === 0 && patterns.some((pattern) => pattern.test(name)),
    hasAddress: (given) => {
      const address = bare(plainRequestAddress(given) ?? given)
      const version = isIP(address)
      return version !== 0 && networks.check(address, version === 4 ? 'ipv4' : 'ipv6')
    },
  }
}

/** Without the zone: fe80::1%eth0. */
function bare(address: string): string {
  return address.split('%')[0] ?? ''
}

function patternOf(text: string): RegExp {
  const source = text.replace(/[.-]/g, '\\$&').replaceAll(/\*+/g, '.*').replaceAll('?', '.')
  return new RegExp(`^${source}$`, 'i')
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 60))
}
