/**
 * Checks that every jump host exists and that no host is reached through itself.
 *
 * Knows nothing of connections. A host of an optional source is named to be left out; any other is a mistake.
 */
import type { HostDraft } from '../hosts/inventory-host.ts'
import { nearest, nearestHint } from '../targets/nearest.ts'

/** A host that cannot be reached as it is configured, and why. */
export type JumpFault = { readonly host: HostDraft; readonly text: string }

/**
 * The faults in the jump hosts of an inventory, in the order of the hosts; `named` has the host of every name and alias.
 * A circle is one fault of each host in it; a host that leads to a missing jump host is none, only the one that names it.
 */
export function findJumpFaults(hosts: Iterable<HostDraft>, named: ReadonlyMap<string, HostDraft>): JumpFault[] {
  const faults: JumpFault[] = []
  /** What is said of a missing jump host: thousands of hosts may name the same one. */
  const missing = new Map<string, string>()
  /** Hosts whose chain is known to end. */
  const ending = new Set<string>()
  for (const host of hosts) {
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
      next = next.jump === undefined ? undefined : named.get(next.jump)
    }
    if (next === undefined || ending.has(next.name)) {
      for (const name of chain) ending.add(name)
    } else if (next.name === host.name) {
      faults.push({ host, text: `the jump hosts go in a circle: ${[...chain, host.name].join(' → ')}` })
    }
  }
  return faults
}

/** The first host on the way to this one that must not be reached as it is configured; undefined when there is none. */
export function findDetour(host: HostDraft, named: ReadonlyMap<string, HostDraft>): HostDraft | undefined {
  const walked = new Set<HostDraft>()
  for (let hop = host.jump === undefined ? undefined : named.get(host.jump); hop !== undefined; ) {
    if (hop.isFaulty === true && hop.disabled !== undefined) return hop
    if (walked.has(hop) || hop.jump === undefined) return undefined
    walked.add(hop)
    hop = named.get(hop.jump)
  }
  return undefined
}
