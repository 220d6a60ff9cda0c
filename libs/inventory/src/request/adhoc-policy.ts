/**
 * Which hosts requests may name that the inventory does not have (MUSTER_ADHOC_HOSTS). The server asks before it
 * accepts a job, the worker before it connects, and the dial for each address of a name, before it connects there.
 */
import { isIP } from 'node:net'
import { z } from 'zod'
import { type HostMatcher, readHostMatcher } from '../hosts/host-matcher.ts'
import type { InventoryHost } from '../hosts/inventory-host.ts'
import { forbiddenAddress } from './forbidden-address.ts'

/** The setting that says which hosts. */
const ADHOC_SETTING = 'MUSTER_ADHOC_HOSTS'

/** What the setting allows. */
export type AdhocPolicy = {
  /** As it is written. */
  readonly text: string
  /** Whether it allows any host at all. */
  readonly allowsAny: boolean
  /**
   * Why the host of a request may not be tried; undefined when it may, as far as its name or address tells. Where only
   * networks could allow a name, `refusesAddress` decides. The text does not name the host.
   */
  refusesHost(host: InventoryHost): string | undefined
  /** Why no connection may be made to this address of the host. */
  refusesAddress(host: InventoryHost, address: string): string | undefined
  /** Whether only known_hosts allows it, so that it must be listed there before anything is sent to it. */
  mustBeListed(host: InventoryHost): boolean
  /** Whether its name or network allows the host, so that a key pinned by the request may stand for known_hosts. */
  mayBePinned(host: InventoryHost): boolean
}

/** The setting as a field of a configuration. */
export const adhocHosts = z
  .string()
  .default('off')
  .transform((text, context): AdhocPolicy => {
    const read = readAdhocPolicy(text)
    if (!('mistake' in read)) return read
    context.addIssue({ code: 'custom', message: `off, known_hosts, networks and name patterns; ${read.mistake}` })
    return z.NEVER
  })

/** The policy that a text stands for, or what is wrong with it. */
export function readAdhocPolicy(text: string): AdhocPolicy | { readonly mistake: string } {
  const items = text.split(',').flatMap((item) => item.trim() || [])
  const isOff = items.includes('off') || items.length === 0
  if (isOff && items.length > 1) return { mistake: '"off" stands alone' }
  const byKey = items.includes('known_hosts')
  const matcher = readHostMatcher(items.filter((item) => item !== 'off' && item !== 'known_hosts'))
  return 'mistake' in matcher ? matcher : policyOf({ text: isOff ? 'off' : items.join(','), byKey, matcher })
}

function policyOf(given: { text: string; byKey: boolean; matcher: HostMatcher }): AdhocPolicy {
  const { text, byKey, matcher } = given
  const allowed =
    text === 'off' ? `${ADHOC_SETTING} is off, so a request can name none` : `${ADHOC_SETTING} allows ${text}`
  const forbidden = (address: string) => {
    const what = forbiddenAddress(address)
    return what === undefined
      ? undefined
      : `${address} is ${what}, which no request may name, whatever ${ADHOC_SETTING} says`
  }
  const refused = (why = '') => `it is not in the inventory, and ${allowed}${why}`
  return {
    text,
    allowsAny: text !== 'off',
    refusesHost: (host) => {
      const { address, jump } = host
      if (isIP(address.split('%')[0] ?? '') !== 0) {
        return forbidden(address) ?? (byKey || matcher.hasAddress(address) ? undefined : refused())
      }
      if (byKey || matcher.hasName(address)) return undefined
      // Behind a jump host nobody here learns which address the name has.
      if (matcher.hasNetworks && jump === undefined) return undefined
      const why = matcher.hasNetworks ? '; behind a jump host, networks hold only for an address, not for a name' : ''
      return refused(why)
    },
    refusesAddress: (host, address) => {
      const isAllowed = byKey || matcher.hasName(host.address) || matcher.hasAddress(address)
      return forbidden(address) ?? (isAllowed ? undefined : refused(`; its name leads to ${address}`))
    },
    mustBeListed: ({ address }) => byKey && !matcher.hasName(address) && !matcher.hasAddress(address),
    mayBePinned: ({ address }) =>
      matcher.hasName(address) || matcher.hasAddress(address) || (matcher.hasNetworks && !byKey),
  }
}
