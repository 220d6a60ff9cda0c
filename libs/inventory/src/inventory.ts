/**
 * The inventory: all sources joined, checked as a whole, and frozen.
 *
 * Pure: reads no file. `inventory-source.ts` reads, and reloads.
 */
import { foldHosts, MusterError, parseTargets } from '@muster/contract'
import { evaluateTargets } from './evaluate-targets.ts'
import { buildGroups } from './groups.ts'
import { readInventoryFile } from './inventory-file.ts'
import type { HostDefaults, HostDraft, InventoryHost, SourceContent } from './inventory-host.ts'
import { findJumpFaults } from './jump-hosts.ts'
import { invalidInventory, type Mistake, type Place, writePlace } from './mistakes.ts'

/** The hosts and groups in force. Never changes; a reload makes a new one. */
export type Inventory = {
  /** By name: first those of the file in its order, then those of `SSH_SERVERS`, then those of the SSH config. */
  readonly hosts: ReadonlyMap<string, InventoryHost>
  /** The names of the hosts of each group, in the order that its definition gives. */
  readonly groups: ReadonlyMap<string, readonly string[]>
  /**
   * The hosts that a target expression selects: frozen, in the order of their first mention, each once; maybe none.
   * With `within`, the names of the hosts of a job, only those are known, also where they have left the inventory since.
   * @throws {MusterError} invalid_target when it cannot be parsed, or is too much work, with `details.position`
   * @throws {MusterError} unknown_target for a host or group that is not here, and a wildcard that matches nothing, with
   *   `details.position` and `details.nearest`
   */
  resolve(expression: string, within?: readonly string[]): readonly string[]
}

/**
 * The inventory that the text of one file gives, without any other source.
 * @throws {MusterError} invalid_inventory with every mistake and its line in the message
 */
export function parseInventory(text: string, fileName: string, defaults: HostDefaults): Inventory {
  return joinSources([readInventoryFile(text, fileName, defaults)]).inventory
}

/**
 * Joins what the sources give, in their order.
 * @throws {MusterError} invalid_inventory with every mistake of every source that is not optional
 */
export function joinSources(sources: readonly SourceContent[]): { inventory: Inventory; warnings: string[] } {
  const mistakes = sources.flatMap((source) => source.mistakes)
  const warnings = sources.flatMap((source) => source.warnings)
  const hosts = new Map<string, HostDraft>()
  const optional = new Set<HostDraft>()
  const leaveOut = (host: HostDraft, why: string) => {
    if (hosts.get(host.name) === host) hosts.delete(host.name)
    warnings.push(`${writePlace(host.place)}: left out: ${why}`)
  }
  for (const source of sources) {
    const repeated = new Map<string, { place: Place; earlier: Place; names: string[] }>()
    for (const host of source.hosts) {
      const earlier = hosts.get(host.name)?.place
      if (earlier === undefined) hosts.set(host.name, host)
      else if (source.isOptional) leaveOut(host, `already defined at ${writePlace(earlier)}`)
      else addRepeated(repeated, host, earlier)
      if (source.isOptional) optional.add(host)
    }
    for (const { place, earlier, names } of repeated.values()) {
      mistakes.push({ place, text: `${foldHosts(names)} is already defined at ${writePlace(earlier)}` })
    }
  }
  mistakes.push(...settleJumps(hosts, optional, leaveOut))
  const built = buildGroups(
    sources.flatMap((source) => source.groups),
    hosts,
  )
  mistakes.push(...built.mistakes)
  if (mistakes.length > 0) throw invalidInventory(mistakes)
  return { inventory: inventoryOf(hosts, built.groups), warnings }
}

/** Ranges that overlap make one mistake, not one for each host. */
function addRepeated(
  repeated: Map<string, { place: Place; earlier: Place; names: string[] }>,
  { name, place }: HostDraft,
  earlier: Place,
): void {
  const key = JSON.stringify([place, earlier])
  const known = repeated.get(key)
  if (known === undefined) repeated.set(key, { place, earlier, names: [name] })
  else known.names.push(name)
}

/** Leaves optional hosts out until the rest stands by itself; what is then wrong is a mistake. */
function settleJumps(
  hosts: ReadonlyMap<string, HostDraft>,
  optional: ReadonlySet<HostDraft>,
  leaveOut: (host: HostDraft, why: string) => void,
): Mistake[] {
  for (;;) {
    const faults = findJumpFaults(hosts)
    const avoidable = faults.filter(({ host }) => optional.has(host))
    if (avoidable.length === 0) {
      return faults.map(({ host, text }) => ({ place: { ...host.place, path: `${host.place.path}.jump` }, text }))
    }
    for (const { host, text } of avoidable) leaveOut(host, text)
  }
}

function inventoryOf(
  drafts: ReadonlyMap<string, HostDraft>,
  groups: ReadonlyMap<string, readonly string[]>,
): Inventory {
  const groupsOf = new Map<string, string[]>()
  for (const [group, names] of groups) {
    for (const name of names) {
      const known = groupsOf.get(name)
      if (known === undefined) groupsOf.set(name, [group])
      else known.push(group)
    }
  }
  const hosts = new Map<string, InventoryHost>()
  for (const { place: _place, ...host } of drafts.values()) {
    hosts.set(host.name, Object.freeze({ ...host, groups: Object.freeze(groupsOf.get(host.name) ?? []) }))
  }
  return Object.freeze({
    hosts,
    groups,
    resolve: (expression: string, within?: readonly string[]) => resolve(expression, hosts, groups, within),
  })
}

function resolve(
  expression: string,
  hosts: ReadonlyMap<string, InventoryHost>,
  groups: ReadonlyMap<string, readonly string[]>,
  within: readonly string[] | undefined,
): readonly string[] {
  const noLabels = { labels: {} }
  const { names, unknown } = evaluateTargets(parseTargets(expression), {
    place: within === undefined ? 'inventory' : 'job',
    hosts: within === undefined ? hosts : new Map(within.map((name) => [name, hosts.get(name) ?? noLabels])),
    groupNames: groups.keys(),
    groupHosts: (name) => groups.get(name),
  })
  if (unknown !== undefined) {
    const details = { position: unknown.position, nearest: [...unknown.nearest] }
    throw new MusterError('unknown_target', unknown.text, { details })
  }
  return Object.freeze([...names])
}
