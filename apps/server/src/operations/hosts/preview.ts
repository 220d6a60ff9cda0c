/** Previews a target expression: which hosts it selects, and on which of them a job would not start. Runs nothing. */
import { foldHosts, type HostsUnavailable, type Input, type Output } from '@muster/contract'
import type { AdhocPolicy, Inventory } from '@muster/inventory'
import { type Ledger, type OpenBreaker, openBreakers } from '@muster/ledger'
import { refusalOfNamed } from './named-hosts.ts'
import { selectHosts } from './select-hosts.ts'

/** Most values of a label that are counted one by one; every host may have its own. */
const VALUES_LIMIT = 50

/**
 * Says what a request with these fields would select now.
 * @throws {MusterError} invalid_target, unknown_target, no_targets, ledger_unavailable
 */
export async function resolveTargets(
  ledger: Ledger,
  known: Inventory,
  input: Input<'resolve_targets'>,
  policy: AdhocPolicy,
): Promise<Output<'resolve_targets'>> {
  const { hosts, seed } = selectHosts(known, input)
  const shown = hosts.slice(0, input.hosts_limit)
  return {
    count: hosts.length,
    folded: foldHosts(hosts),
    hosts: shown,
    hosts_omitted: hosts.length - shown.length,
    labels: countLabels(hosts, known),
    unavailable: [
      ...hostsWith('host_disabled', hosts, (host) => known.find(host, input.connect)?.disabled),
      ...hostsWith('policy_denied', hosts, (host) => {
        const found = known.find(host, input.connect)
        return found && refusalOfNamed(found, policy)
      }),
      ...brokenHosts(hosts, await openBreakers(ledger)),
    ],
    seed: seed ?? null,
  }
}

function countLabels(hosts: readonly string[], inventory: Inventory): Record<string, Record<string, number>> {
  const counts = new Map<string, Map<string, number>>()
  for (const host of hosts) {
    for (const [key, value] of Object.entries(inventory.hosts.get(host)?.labels ?? {})) {
      const values = counts.get(key) ?? new Map<string, number>()
      counts.set(key, values.set(value, (values.get(value) ?? 0) + 1))
    }
  }
  return Object.fromEntries([...counts].map(([key, values]) => [key, mostFrequent(values)]))
}

function mostFrequent(values: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...values].sort(([, a], [, b]) => b - a).slice(0, VALUES_LIMIT))
}

/** The hosts for which `whyNot` says why no job would start on them. */
function hostsWith(
  reason: HostsUnavailable['reason'],
  hosts: readonly string[],
  whyNot: (host: string) => string | undefined,
): HostsUnavailable[] {
  return [...grouped(hosts, whyNot)].map(([detail, names]) => unavailable(reason, detail, names))
}

function brokenHosts(hosts: readonly string[], breakers: ReadonlyMap<string, OpenBreaker>): HostsUnavailable[] {
  const byKind = grouped(hosts, (host) => breakers.get(host)?.kind)
  return [...byKind].map(([kind, names]) => {
    const untils = names.flatMap((name) => breakers.get(name)?.untilMs ?? [])
    const what = kind === 'auth' ? 'logging in' : 'connecting'
    // The earliest time, as it holds for all of them. A host may stay closed for longer while a run probes it.
    const when = new Date(Math.min(...untils)).toISOString()
    return unavailable('breaker_open', `${what} failed too often in a row; not tried before ${when}`, names)
  })
}

function unavailable(reason: HostsUnavailable['reason'], detail: string, names: readonly string[]): HostsUnavailable {
  return { reason, detail, hosts: foldHosts(names), count: names.length }
}

/** Groups hosts by their key, in order. Leaves out hosts without a key. */
function grouped<K>(hosts: readonly string[], keyOf: (host: string) => K | undefined): Map<K, string[]> {
  const groups = new Map<K, string[]>()
  for (const host of hosts) {
    const key = keyOf(host)
    if (key === undefined) continue
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [host])
    else group.push(host)
  }
  return groups
}
