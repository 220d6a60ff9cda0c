/** What is the same for whoever goes to a host. */

/** Where a host is, how it proves who it is, and what it is offered. */
export type Way = {
  /** A host name or an IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
  /** The program to reach the host through, by its absolute path, and its arguments. Absent: over the network. */
  readonly proxy?: readonly [string, ...string[]]
  /** The name to look up in known_hosts. Absent: the address. */
  readonly hostKeyAlias?: string
  /** Files of known hosts in place of the user's own. */
  readonly knownHostsFiles?: readonly string[]
  /** The algorithms to offer, in this order. Absent: the usual ones. */
  readonly hostKeys?: readonly string[]
  readonly keyExchanges?: readonly string[]
  /** `legacy` allows the algorithms that hosts from before 2016 need. Absent: today's only. */
  readonly algorithms?: 'legacy'
}

/** The way to a host, without anything else of it. */
export function wayOf(host: Way): Way {
  const { address, port, proxy, hostKeyAlias, knownHostsFiles, hostKeys, keyExchanges, algorithms } = host
  return {
    address,
    port,
    ...(proxy && { proxy }),
    ...(hostKeyAlias !== undefined && { hostKeyAlias }),
    ...(knownHostsFiles && { knownHostsFiles }),
    ...(hostKeys && { hostKeys }),
    ...(keyExchanges && { keyExchanges }),
    ...(algorithms && { algorithms }),
  }
}
