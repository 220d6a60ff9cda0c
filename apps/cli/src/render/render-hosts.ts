/** Hosts as people see them: a list of them, and what a target expression selects. Pure. */
import { escapeLine, foldHosts, type Host, type Output } from '@muster/contract'
import { hostsText, tableText } from './render-output.ts'

/** So few hosts are those that somebody asks about. */
const ASKED_FOR = 10

/** Hosts, for `muster hosts`. The columns for aliases and for why a host is disabled are there only if needed. */
export function hostTable(hosts: readonly Host[]): string {
  const hasAliases = hosts.some(({ aliases }) => aliases.length > 0)
  const isAnyDisabled = hosts.some(({ disabled }) => disabled !== null)
  const rows = hosts.map((host) => {
    const labels = Object.entries(host.labels).map(([key, value]) => `${key}=${value}`)
    return [
      host.name,
      ...(hasAliases ? [host.aliases.join(',') || '–'] : []),
      `${host.user}@${host.address}:${host.port}`,
      host.jump ?? '–',
      host.groups.join(','),
      labels.join(','),
      ...(isAnyDisabled ? [host.disabled ?? '–'] : []),
    ]
  })
  const heading = ['HOST', ...(hasAliases ? ['ALIASES'] : []), 'ADDRESS', 'JUMP', 'GROUPS', 'LABELS']
  return tableText(isAnyDisabled ? [...heading, 'DISABLED'] : heading, rows)
}

/**
 * The options of an SSH config that are not followed for these hosts: each with its place and why, for a few hosts; for
 * more, how one learns of them.
 */
export function notTakenText(hosts: readonly Host[]): string {
  const concerned = hosts.filter(({ not_taken }) => not_taken.length > 0)
  if (concerned.length > ASKED_FOR) {
    const what = `${concerned.length} hosts have options in the SSH config that are not taken`
    return `── ${what}; muster hosts NAME shows which\n`
  }
  const names = new Map<string, string[]>()
  for (const { name, not_taken } of concerned) {
    for (const { option, file, line, why } of not_taken) {
      const text = `${option} is not taken: ${why} (${file}:${line})`
      names.set(text, [...(names.get(text) ?? []), name])
    }
  }
  return [...names].map(([text, of]) => `── ${foldHosts(of)}: ${escapeLine(text)}\n`).join('')
}

/** What a target expression selects, for `muster targets`: the hosts, their labels, and which are unavailable. */
export function resolvedText({ count, folded, seed, labels, unavailable }: Output<'resolve_targets'>): string {
  const rows = [
    ['hosts', `${count}: ${folded}`],
    ...(seed === null ? [] : [['seed', String(seed)]]),
    ...Object.entries(labels).map(([key, values]) => [
      `{${key}}`,
      Object.entries(values)
        .map(([value, hosts]) => `${value} ${hosts}`)
        .join(', '),
    ]),
  ]
  const width = Math.max(10, ...rows.map(([name = '']) => name.length))
  const lines = rows.map(([name = '', text]) => `${name.padEnd(width)} ${escapeLine(text ?? '')}\n`)
  const away = unavailable.map((hosts) => `── ${hostsText(hosts)}: ${hosts.reason}, ${escapeLine(hosts.detail)}\n`)
  return `${lines.join('')}${away.join('')}`
}
