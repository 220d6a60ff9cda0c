/**
 * Addresses that no request may name, whatever is allowed: the metadata services of clouds, which hand out credentials
 * to whoever can talk to them, and what is no address of one host.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { plainRequestAddress } from '@muster/contract'

const KINDS: readonly { readonly what: string; readonly v4: readonly string[]; readonly v6: readonly string[] }[] = [
  {
    what: 'the metadata service of a cloud',
    v4: ['169.254.169.254/32', '169.254.170.2/32', '100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32'],
    v6: ['fd00:ec2::254/128', 'fd00:ec2::23/128', 'fd20:ce::254/128'],
  },
  { what: 'a link-local address', v4: ['169.254.0.0/16'], v6: ['fe80::/10'] },
  { what: 'a multicast address', v4: ['224.0.0.0/4'], v6: ['ff00::/8'] },
  { what: 'an address that a translator makes another one of', v4: [], v6: ['64:ff9b:1::/48', '::ffff:0:0:0/96'] },
  { what: 'no address of a host', v4: ['0.0.0.0/8', '255.255.255.255/32'], v6: ['::/128'] },
]

const LISTS = KINDS.map(({ what, v4, v6 }) => {
  const list = new BlockList()
  for (const [version, networks] of [['ipv4', v4] as const, ['ipv6', v6] as const]) {
    for (const network of networks) {
      const [address = '', bits] = network.split('/')
      list.addSubnet(address, Number(bits), version)
    }
  }
  return { what, list }
})

/** What the address is, if no request may name it; also where an IPv6 address carries such an IPv4 address. */
export function forbiddenAddress(given: string): string | undefined {
  const [address = ''] = (plainRequestAddress(given) ?? given).split('%')
  const carried = isIPv6(address) ? carriedIpV4(address) : undefined
  for (const one of [address, ...(carried === undefined ? [] : [carried])]) {
    const version = isIPv4(one) ? 'ipv4' : 'ipv6'
    if (version === 'ipv6' && !isIPv6(one)) continue
    const found = LISTS.find(({ list }) => list.check(one, version))
    if (found !== undefined) return found.what
  }
  return undefined
}

/** The IPv4 address that a translator reaches by this IPv6 address: NAT64, 6to4, or IPv4-compatible. */
function carriedIpV4(address: string): string | undefined {
  const words = wordsOf(address)
  const startsWith = (...first: number[]) => first.every((word, i) => words[i] === word)
  const [high, low] = startsWith(0x2002) ? words.slice(1, 3) : words.slice(6)
  const isCompatible = startsWith(0, 0, 0, 0, 0, 0) && high !== 0
  const isMapped = startsWith(0, 0, 0, 0, 0, 0xffff)
  const isNat64 = startsWith(0x64, 0xff9b)
  if (high === undefined || low === undefined) return undefined
  if (!startsWith(0x2002) && !isCompatible && !isMapped && !isNat64) return undefined
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

/** The eight words of an address in its plain spelling. */
function wordsOf(address: string): number[] {
  const [front = '', back] = address.split('::')
  const read = (part: string) => part.split(':').flatMap((word) => (word === '' ? [] : [Number.parseInt(word, 16)]))
  const [first, last] = [read(front), read(back ?? '')]
  const zeros = new Array<number>(Math.max(0, 8 - first.length - last.length)).fill(0)
  return back === undefined ? first : [...first, ...zeros, ...last]
}
