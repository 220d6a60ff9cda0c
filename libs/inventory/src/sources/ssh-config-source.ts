/**
 * `~/.ssh/config` as a source of hosts: every `Host` name without a wildcard, with the options that ssh would apply.
 *
 * What is not followed is kept with each host, to be shown with it; a host that it would lead elsewhere is disabled.
 */
import { foldHosts, isHostName } from '@muster/contract'
import type { HostDefaults, HostDraft, SourceContent } from '../hosts/inventory-host.ts'
import { NO_USER } from '../hosts/mistakes.ts'
import { type ConfigFile, type Reading, readConfigFiles } from '../ssh-config/config-files.ts'
import type { Wanted } from '../ssh-config/settings.ts'
import { lookUpHost } from './ssh-config-host.ts'
import { wayTo } from './ssh-config-way.ts'

/** A pattern or a negated name: this is not a host. */
const PATTERN = /[*?!]/

/** What reading an SSH config needs. */
export type SshConfigContext = Pick<Reading, 'readText'> & {
  readonly defaults: HostDefaults
  /** For `${VARIABLES}` in file names. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** The hosts of an SSH config, and the files and directories beside it that they depend on. */
export async function readSshConfig(
  text: string,
  fileName: string,
  context: SshConfigContext,
): Promise<SourceContent & { readonly files: readonly string[] }> {
  const { defaults, readText } = context
  const config = await readConfigFiles(text, fileName, { home: defaults.home, readText })
  const { files, mistakes } = config
  const content = { groups: [], mistakes, isOptional: true, files }
  if (mistakes.length > 0) return { ...content, hosts: [], warnings: [] }
  const warnings: string[] = []
  const hosts: HostDraft[] = []
  const lookUp = (wanted: Wanted) => lookUpHost(wanted, { config, fileName, defaults, env: context.env })
  for (const name of new Set(hostNames(config.root))) {
    const found = lookUp({ name })
    if (!found.isNamed) continue
    const why = isHostName(name) ? undefined : 'a host name has letters, digits, ".", "_" and "-" only'
    const leftOut = why ?? (found.host.user === '' ? NO_USER : undefined)
    if (leftOut === undefined) hosts.push({ ...found.host, ...wayTo(found, lookUp) })
    else warnings.push(`${fileName}: Host ${name}: left out: ${leftOut}`)
  }
  const told = untold(hosts)
  if (told !== undefined) warnings.push(`${fileName}: not taken: ${told}`)
  return { ...content, hosts, warnings: [...new Set(warnings)] }
}

function hostNames(file: ConfigFile): string[] {
  return file.sections.flatMap(({ header, lines }) => [
    ...(header?.keyword === 'host' ? header.words.filter((word) => !PATTERN.test(word)) : []),
    ...lines.flatMap(({ included = [] }) => included.flatMap(hostNames)),
  ])
}

/** The options that are not taken, with their hosts, for the log. */
function untold(hosts: readonly HostDraft[]): string | undefined {
  const byOption = new Map<string, Set<string>>()
  for (const { name, notTaken = [] } of hosts) {
    for (const { option } of notTaken) byOption.set(option, (byOption.get(option) ?? new Set()).add(name))
  }
  const byHosts = new Map<string, string[]>()
  for (const [option, names] of byOption) {
    const folded = foldHosts([...names])
    byHosts.set(folded, [...(byHosts.get(folded) ?? []), option])
  }
  const parts = [...byHosts].map(([folded, options]) => `${options.join(', ')} for ${folded}`)
  return parts.length === 0 ? undefined : parts.join('; ')
}
