/**
 * The inventory: all sources joined, checked as a whole, and frozen.
 *
 * Pure: reads no file. `inventory-source.ts` reads and reloads.
 */
import {
  type Connect,
  MusterError,
  parseRequestHost,
  parseTargets,
  plainRequestAddress,
  type RequestHost,
  writeRequestHost,
} from '@muster/contract'
import type {
  Hop,
  HopDraft,
  HostDefaults,
  HostDraft,
  InventoryHost,
  NamedCredential,
  SourceContent,
} from './hosts/inventory-host.ts'
import { machineOf } from './hosts/machine.ts'
import { invalidInventory } from './hosts/mistakes.ts'
import { wayOf } from './hosts/way.ts'
import { buildGroups } from './join/groups.ts'
import { type JoinedHosts, joinHosts } from './join/join-hosts.ts'
import { type KnownMachines, requestHostOf } from './request/request-hosts.ts'
import { readInventoryFile } from './sources/inventory-file.ts'
import { evaluateTargets } from './targets/evaluate-targets.ts'

/** The hosts and groups in force. It never changes; a reload makes a new one. */
export type Inventory = {
  /** By name: first those of the file in its order, then those of `SSH_SERVERS`, then those of the SSH config. */
  readonly hosts: ReadonlyMap<string, InventoryHost>
  /**
   * The host with this name or alias, or the one that a request names so, `user@host:port`; undefined when there is
   * none. `connect` says what the name does not.
   * @throws {MusterError} invalid_target, unknown_target for a host of a request that contradicts the inventory
   */
  find(name: string, connect?: Connect): InventoryHost | undefined
  /** What the section `credentials` has for hosts that requests name, in its order. */
  readonly credentials: readonly NamedCredential[]
  /** The names of the hosts of each group, in the order that its definition gives. */
  readonly groups: ReadonlyMap<string, readonly string[]>
  /**
   * The names of the hosts that a target expression selects: frozen, in the order of their first mention, without
   * duplicates; possibly none. Hosts that the expression names itself are told by their one name. With `within`, the
   * hosts of a job, only these are known, even those that have left the inventory since.
   * @throws {MusterError} invalid_target, with `details.position`, when it cannot be parsed or is too much work
   * @throws {MusterError} unknown_target, with `details.position` and `details.nearest`, for an unknown host or group,
   *   or a wildcard that matches nothing
   */
  resolve(expression: string, how?: ResolveOptions): readonly string[]
  /**
   * Whether a target expression selects this host. It is resolved once.
   * @throws {MusterError} as `resolve` does
   */
  selects(expression: string, host: string): boolean
}

/** How an expression is resolved. */
type ResolveOptions = {
  /** The hosts of a job, which alone are known then. */
  readonly within?: readonly string[]
  /** How the request reaches the hosts that it names itself. */
  readonly connect?: Connect | undefined
}

/**
 * The inventory of one file, given as text, without any other source.
 * @throws {MusterError} invalid_inventory with every mistake and its line in the message
 */
export function parseInventory(text: string, fileName: string, defaults: HostDefaults): Inventory {
  return joinSources([readInventoryFile(text, fileName, defaults)]).inventory
}

/**
 * Joins the sources, in their order.
 * @throws {MusterError} invalid_inventory with every mistake of every source that is not optional
 */
export function joinSources(sources: readonly SourceContent[]): { inventory: Inventory; warnings: string[] } {
  const groups = sources.flatMap((source) => source.groups)
  const joined = joinHosts(sources, new Map(groups.map(({ name, position }) => [name, position])))
  const built = buildGroups(groups, joined)
  const mistakes = [...sources.flatMap((source) => source.mistakes), ...joined.mistakes, ...built.mistakes]
  if (mistakes.length > 0) throw invalidInventory(mistakes)
  const warnings = [...sources.flatMap((source) => source.warnings), ...joined.warnings]
  const credentials = sources.flatMap((source) => source.credentials ?? [])
  return { inventory: inventoryOf(joined, built.groups, credentials), warnings }
}

/** Most expressions whose hosts are kept for `selects`; with more, all are forgotten. */
const SELECTIONS_KEPT = 200

function inventoryOf(
  joined: JoinedHosts,
  groups: ReadonlyMap<string, readonly string[]>,
  credentials: readonly NamedCredential[],
): Inventory {
  const { aliases, machines } = joined
  const groupsOf = listsByName([...groups].flatMap(([group, names]) => names.map((name) => [name, group] as const)))
  const aliasesOf = listsByName([...aliases].map(([alias, name]) => [name, alias] as const))
  const hosts = new Map<string, InventoryHost>()
  for (const draft of joined.hosts.values()) {
    const { position: _position, isFaulty: _isFaulty, wayFault: _wayFault, jump, hops, ...host } = draft
    const complete = {
      ...host,
      ...(hops && { hops: Object.freeze(hops.map(hopOf)) }),
      ...(jump !== undefined && { jump: aliases.get(jump) ?? jump }),
      aliases: Object.freeze(aliasesOf.get(host.name) ?? []),
      machine: machines.get(draft) ?? host.name,
      groups: Object.freeze(groupsOf.get(host.name) ?? []),
    }
    hosts.set(host.name, Object.freeze(complete))
  }
  const findOwn = (name: string) => hosts.get(name) ?? hosts.get(aliases.get(name) ?? name)
  const machinesKnown = knownMachines(joined, hosts)
  const requestHost = (given: RequestHost, connect: Connect = {}) => requestHostOf(given, connect, machinesKnown)
  const known = { hosts, groups, aliases, requestHost }
  const selected = new Map<string, ReadonlySet<string>>()
  return Object.freeze({
    hosts,
    groups,
    credentials: Object.freeze([...credentials]),
    find: (name: string, connect?: Connect) => {
      const given = name.includes('@') ? parseRequestHost(name) : undefined
      return given === undefined ? findOwn(name) : requestHost(given, connect)
    },
    resolve: (expression: string, how: ResolveOptions = {}) => resolve(expression, known, how),
    selects: (expression: string, host: string) => {
      const names = selected.get(expression) ?? new Set(resolve(expression, known, {}))
      if (selected.size >= SELECTIONS_KEPT) selected.clear()
      selected.set(expression, names)
      return names.has(host)
    },
  })
}

/** What is needed to go through a host. */
function hopOf({ host }: HopDraft): Hop {
  const { name, user, credentials } = host
  return Object.freeze({ name, user, credentials, ...wayOf(host) })
}

/** What `requestHostOf` asks. */
function knownMachines(joined: JoinedHosts, hosts: ReadonlyMap<string, InventoryHost>): KnownMachines {
  const { aliases, atMachine } = joined
  const named = new Map<string, HostDraft>(joined.hosts)
  for (const [alias, name] of aliases) {
    const host = joined.hosts.get(name)
    if (host !== undefined) named.set(alias, host)
  }
  const byPlainName = new Map<string, InventoryHost>()
  for (const name of [...hosts.keys(), ...aliases.keys()]) {
    const host = hosts.get(aliases.get(name) ?? name)
    const plain = plainRequestAddress(name)
    if (host !== undefined && plain !== undefined && !byPlainName.has(plain)) byPlainName.set(plain, host)
  }
  return {
    find: (name) => byPlainName.get(plainRequestAddress(name) ?? name),
    at: (machine) => (atMachine.get(machine) ?? []).flatMap(({ name }) => hosts.get(name) ?? []),
    machineText: ({ name }) => {
      const draft = joined.hosts.get(name)
      return draft === undefined ? name : machineOf(draft, named)
    },
  }
}

function listsByName(pairs: Iterable<readonly [string, string]>): Map<string, string[]> {
  const lists = new Map<string, string[]>()
  for (const [name, item] of pairs) {
    const list = lists.get(name)
    if (list === undefined) lists.set(name, [item])
    else list.push(item)
  }
  return lists
}

type Known = Pick<Inventory, 'hosts' | 'groups'> &
  Pick<JoinedHosts, 'aliases'> & {
    readonly requestHost: (given: RequestHost, connect: Connect | undefined) => InventoryHost
  }

function resolve(
  expression: string,
  { hosts, groups, aliases, requestHost }: Known,
  { within, connect }: ResolveOptions,
): readonly string[] {
  const noLabels = { labels: {} }
  const isOfJob = new Set(within)
  const nameOf = (given: RequestHost) => {
    const { user = connect?.user } = given
    // A job keeps the names that its hosts had when it was submitted.
    const written = user === undefined ? undefined : writeRequestHost({ ...given, user })
    return written !== undefined && isOfJob.has(written) ? written : requestHost(given, connect).name
  }
  const { names, unknown } = evaluateTargets(parseTargets(expression), {
    searched: within === undefined ? 'inventory' : 'job',
    hosts: within === undefined ? hosts : new Map(within.map((name) => [name, hosts.get(name) ?? noLabels])),
    aliases,
    groupNames: groups.keys(),
    groupHosts: (name) => groups.get(name),
    ofRequest: nameOf,
    takesBareNames: within === undefined && connect?.user !== undefined,
  })
  if (unknown !== undefined) {
    const details = { position: unknown.position, nearest: [...unknown.nearest] }
    throw new MusterError('unknown_target', unknown.text, { details })
  }
  return Object.freeze([...names])
}
