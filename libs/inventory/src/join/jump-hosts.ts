/**
 * Settles which hosts are gone through, and checks that every jump host exists and that no host is reached through
 * itself.
 *
 * It knows nothing of connections. The caller disables a host at fault or reports a mistake.
 */
import type { HopDraft, HostDraft } from '../hosts/inventory-host.ts'
import { inCircle } from '../hosts/mistakes.ts'
import { nearest, nearestHint } from '../targets/nearest.ts'

/** A host that cannot be reached as configured, and why. */
export type JumpFault = { readonly host: HostDraft; readonly text: string }

/**
 * The faults in the jump hosts of an inventory, in the order of the hosts. `named` maps every name and alias to its
 * host. A circle is a fault of every host in it; a missing jump host is a fault only of the host that names it.
 */
export function findJumpFaults(hosts: Iterable<HostDraft>, named: ReadonlyMap<string, HostDraft>): JumpFault[] {
  const faults: JumpFault[] = []
  /** The hint for each missing jump host: thousands of hosts may name the same one. */
  const missing = new Map<string, string>()
  /** Hosts whose chain is known to end. */
  const ending = new Set<string>()
  for (const host of hosts) {
    if (host.hops !== undefined) continue
    if (host.jump !== undefined && !named.has(host.jump)) {
      const hint = missing.get(host.jump) ?? nearestHint(nearest(host.jump, named.keys()))
      missing.set(host.jump, hint)
      faults.push({ host, text: `there is no host "${host.jump}" in the inventory to jump through${hint}` })
      continue
    }
    const chain: string[] = []
    const walked = new Set<string>()
    let next: HostDraft | undefined = host
    while (next !== undefined && !ending.has(next.name) && !walked.has(next.name)) {
      chain.push(next.name)
      walked.add(next.name)
      next = next.jump === undefined || next.hops !== undefined ? undefined : named.get(next.jump)
    }
    if (next === undefined || ending.has(next.name)) {
      for (const name of chain) ending.add(name)
    } else if (next.name === host.name) {
      faults.push({ host, text: inCircle([...chain, host.name]) })
    }
  }
  return faults
}

/** Which hosts there are, and which of them are of sources that count more than an SSH config. */
export type KnownHosts = {
  readonly named: ReadonlyMap<string, HostDraft>
  readonly isFirm: (host: HostDraft) => boolean
}

/**
 * A host with the jump hosts of its config settled: one that is named alone and is in the inventory is that host; of
 * several, those by their name alone are the ones of firm sources, with the way there if they come first.
 */
export function settleHops(host: HostDraft, { named, isFirm }: KnownHosts): HostDraft {
  const { hops, wayFault, ...bare } = host
  if (hops === undefined) return host
  if (host.jump !== undefined && named.has(host.jump)) return bare
  if (wayFault !== undefined) return { ...bare, hops, isFaulty: true, disabled: host.disabled ?? wayFault }
  const settled = hops.flatMap((hop, index) => {
    const known = hop.isBare ? named.get(hop.host.name) : undefined
    if (known === undefined || !isFirm(known)) return [hop]
    return index === 0 ? wayOf(known, named) : [{ ...hop, host: known }]
  })
  return { ...bare, hops: settled }
}

/** A host of a firm source with those before it, in order. */
function wayOf(host: HostDraft, named: ReadonlyMap<string, HostDraft>): HopDraft[] {
  const way: HostDraft[] = []
  for (let at: HostDraft | undefined = host; at !== undefined && !way.includes(at); ) {
    way.unshift(at)
    const { jump, hops }: HostDraft = at
    if (hops !== undefined) return [...hops, ...way.map((one) => ({ host: one, isBare: true }))]
    at = jump === undefined ? undefined : named.get(jump)
  }
  return way.map((one) => ({ host: one, isBare: true }))
}

/** The first jump host on the way to this host that must not be used as configured; undefined when there is none. */
export function findDetour(host: HostDraft, named: ReadonlyMap<string, HostDraft>): HostDraft | undefined {
  const walked = new Set<HostDraft>()
  for (let hop = host.jump === undefined ? undefined : named.get(host.jump); hop !== undefined; ) {
    if (hop.isFaulty === true && hop.disabled !== undefined) return hop
    if (walked.has(hop) || hop.jump === undefined || hop.hops !== undefined) return undefined
    walked.add(hop)
    hop = named.get(hop.jump)
  }
  return undefined
}
