/** Hosts as people see them: a list of them, and what a target expression selects. Pure. */
import { escapeLine, type Host, type Output } from '@muster/contract'
import { hostsText, tableText } from './render-output.ts'

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
