/**
 * Joins the hosts of all sources: who has which name or alias, and which of them are one machine.
 *
 * A name or alias stands for one host. Two hosts with the same machine and user are one host written twice, on which
 * every command would run twice. That is a mistake, except in an optional source, where the second name becomes an
 * alias of the first host. Hosts that differ only in user stay separate hosts of one machine.
 */
import { foldHosts } from '@muster/contract'
import type { HostDraft, NameDraft, SourceContent } from '../hosts/inventory-host.ts'
import { machineOf } from '../hosts/machine.ts'
import { cannotJump, type Mistake, type Position, writePosition } from '../hosts/mistakes.ts'
import { findDetour, findJumpFaults, settleHops } from './jump-hosts.ts'

/** The hosts, in the order of the sources, with their aliases and machines; and what is wrong. */
export type JoinedHosts = {
  readonly hosts: ReadonlyMap<string, HostDraft>
  /** The name of the host that each alias stands for. */
  readonly aliases: ReadonlyMap<string, string>
  /** The machine, as the name of its first host, of every host except these first ones. */
  readonly machines: ReadonlyMap<HostDraft, string>
  /** The hosts of each machine, one for each user, by what `machineOf` says. */
  readonly atMachine: ReadonlyMap<string, readonly HostDraft[]>
  readonly mistakes: readonly Mistake[]
  readonly warnings: readonly string[]
}

/** The state that the functions below share. `named` maps every name and alias to its host. */
type Joining = {
  readonly hosts: Map<string, HostDraft>
  readonly named: Map<string, HostDraft>
  readonly positions: Map<string, Position>
  readonly optional: Set<HostDraft>
  readonly mistakes: Mistake[]
  readonly warnings: string[]
}

/** Joins the hosts of the sources. No alias may be the name of one of the `groups`. */
export function joinHosts(sources: readonly SourceContent[], groups: ReadonlyMap<string, Position>): JoinedHosts {
  const joining: Joining = {
    hosts: new Map(),
    named: new Map(),
    positions: new Map(),
    optional: new Set(sources.filter(({ isOptional }) => isOptional).flatMap(({ hosts }) => hosts)),
    mistakes: [],
    warnings: [],
  }
  const firm = sources.flatMap(({ hosts }) => hosts).filter((host) => !joining.optional.has(host))
  nameHosts(joining, firm)
  nameAliases(joining, groups)
  for (const host of joining.optional) {
    const earlier = joining.positions.get(host.name)
    if (earlier === undefined) enter(joining, host.name, host, host.position)
    else leaveOut(joining, host, `already defined at ${writePosition(earlier)}`)
  }
  settleAllHops(joining)
  settleJumps(joining)
  settleDetours(joining)
  warnOfDisabled(joining)
  const { machines, atMachine } = settleMachines(joining)
  const aliases = [...joining.named].filter(([name, host]) => name !== host.name)
  return { ...joining, machines, atMachine, aliases: new Map(aliases.map(([name, host]) => [name, host.name])) }
}

function enter({ hosts, named, positions }: Joining, name: string, host: HostDraft, position: Position): void {
  if (name === host.name) hosts.set(name, host)
  named.set(name, host)
  positions.set(name, position)
}

function leaveOut({ hosts, named, warnings }: Joining, host: HostDraft, why: string): void {
  if (hosts.get(host.name) === host) {
    hosts.delete(host.name)
    named.delete(host.name)
  }
  warnings.push(`${writePosition(host.position)}: left out: ${why}`)
}

/** Names that are defined twice: overlapping ranges make one mistake, not one per host. */
type Clash = {
  readonly position: Position
  readonly earlier: Position
  readonly names: string[]
  readonly firsts: Set<string>
}

function addClash(clashes: Map<string, Clash>, { name, position }: NameDraft, earlier: Position, first: string): void {
  const key = JSON.stringify([position, earlier])
  const known = clashes.get(key) ?? { position, earlier, names: [], firsts: new Set<string>() }
  known.names.push(name)
  known.firsts.add(first)
  clashes.set(key, known)
}

function nameHosts(joining: Joining, hosts: readonly HostDraft[]): void {
  const clashes = new Map<string, Clash>()
  for (const host of hosts) {
    const earlier = joining.positions.get(host.name)
    if (earlier === undefined) enter(joining, host.name, host, host.position)
    else addClash(clashes, host, earlier, host.name)
  }
  reportRepeated(joining, clashes)
}

/** Runs after all hosts have their names: a clash is the fault of the alias, even if the host is defined later. */
function nameAliases(joining: Joining, groups: ReadonlyMap<string, Position>): void {
  const clashes = new Map<string, Clash>()
  for (const host of [...joining.hosts.values()]) {
    for (const alias of host.aliases) {
      const earlier = joining.positions.get(alias.name) ?? groups.get(alias.name)
      if (earlier === undefined) enter(joining, alias.name, host, alias.position)
      else addClash(clashes, alias, earlier, alias.name)
    }
  }
  reportRepeated(joining, clashes)
}

function reportRepeated({ mistakes }: Joining, clashes: ReadonlyMap<string, Clash>): void {
  for (const { position, earlier, names } of clashes.values()) {
    mistakes.push({ position, text: `${foldHosts(names)} is already defined at ${writePosition(earlier)}` })
  }
}

/** Disables optional hosts that are reached in a circle; for others that is a mistake, as is a missing jump host. */
function settleJumps(joining: Joining): void {
  const { hosts, named, optional, mistakes } = joining
  const disabled = new Map<HostDraft, HostDraft>()
  for (const { host, text } of findJumpFaults(hosts.values(), named)) {
    if (optional.has(host)) disabled.set(host, { ...host, isFaulty: true, disabled: host.disabled ?? text })
    else mistakes.push({ position: { ...host.position, path: `${host.position.path}.jump` }, text })
  }
  replace(joining, disabled)
}

/** Decides which jump hosts of an SSH config are hosts of the inventory. */
function settleAllHops(joining: Joining): void {
  const { hosts, named, optional } = joining
  const isFirm = (host: HostDraft) => !optional.has(host)
  const settled = [...hosts.values()].map((host) => [host, settleHops(host, { named, isFirm })] as const)
  replace(joining, new Map(settled.filter(([before, after]) => before !== after)))
}

/** Disables hosts behind a jump host that ssh would reach in another way: they would be reached wrongly as well. */
function settleDetours(joining: Joining): void {
  const disabled = new Map<HostDraft, HostDraft>()
  for (const host of joining.hosts.values()) {
    const hop = host.disabled === undefined ? findDetour(host, joining.named) : undefined
    if (hop === undefined) continue
    disabled.set(host, { ...host, disabled: cannotJump(hop.name, hop.disabled ?? '') })
  }
  replace(joining, disabled)
}

/** Tells of hosts of an SSH config that jobs cannot use. */
function warnOfDisabled({ hosts, optional, warnings }: Joining): void {
  const disabled = [...hosts.values()].filter((host) => optional.has(host) && host.disabled !== undefined)
  for (const source of new Set(disabled.map(({ position }) => position.source))) {
    const names = disabled.filter(({ position }) => position.source === source).map(({ name }) => name)
    warnings.push(`${source}: disabled, and "muster hosts" says why: ${foldHosts(names)}`)
  }
}

function replace({ hosts, named, optional }: Joining, others: ReadonlyMap<HostDraft, HostDraft>): void {
  for (const [name, host] of named) {
    const replaced = others.get(host)
    if (replaced === undefined) continue
    named.set(name, replaced)
    if (optional.has(host)) optional.add(replaced)
    if (name === host.name) hosts.set(name, replaced)
  }
}

/** Merges or refuses hosts with the same machine and user. */
function settleMachines(joining: Joining): Pick<JoinedHosts, 'machines' | 'atMachine'> {
  const machines = new Map<HostDraft, string>()
  /** The hosts of each machine, one for each user. */
  const found = new Map<string, [HostDraft, ...HostDraft[]]>()
  const clashes = new Map<string, Clash>()
  for (const host of [...joining.hosts.values()]) {
    // The machine of a host with a mistake is not known before the mistake is corrected.
    if (host.isFaulty === true) continue
    const machine = machineOf(host, joining.named)
    const known = found.get(machine)
    if (known === undefined) {
      found.set(machine, [host])
      continue
    }
    const same = known.find(({ user }) => user === host.user)
    if (same === undefined) {
      known.push(host)
      machines.set(host, known[0].name)
    } else if (joining.optional.has(host)) becomeAlias(joining, host, same)
    else addClash(clashes, host, same.position, same.name)
  }
  for (const clash of clashes.values()) joining.mistakes.push({ position: clash.position, text: writeTwice(clash) })
  return { machines, atMachine: found }
}

function becomeAlias({ hosts, named, warnings }: Joining, host: HostDraft, first: HostDraft): void {
  hosts.delete(host.name)
  named.set(host.name, first)
  const settings = ({ credentials, hostKeyAlias }: HostDraft) => JSON.stringify([credentials, hostKeyAlias])
  if (settings(host) === settings(first)) return
  const where = `${first.name} (${writePosition(first.position)})`
  const what = `one machine and user with ${where}, so it is another name of that host`
  warnings.push(`${writePosition(host.position)}: ${what}; its own keys and HostKeyAlias are not used`)
}

function writeTwice({ earlier, names, firsts }: Clash): string {
  const [folded, first] = [foldHosts(names), foldHosts([...firsts])]
  const are = names.length === 1 ? 'is' : 'are'
  const machines = firsts.size === 1 ? 'the same machine' : 'the same machines'
  const aliases = /[[,]/.test(folded) ? JSON.stringify(folded) : folded
  const what = `${folded} ${are} ${machines} as ${first} at ${writePosition(earlier)}, for the same user`
  const advice = `keep ${first} and give it the other name: aliases: [${aliases}]`
  return `${what}, so every command would run there more than once; ${advice}`
}
