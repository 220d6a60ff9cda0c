/**
 * `~/.ssh/config` as a source of hosts: every `Host` name without a wildcard, with the options that ssh would apply.
 *
 * What is not followed is kept with each host, to be shown with it; a host that it would lead elsewhere is disabled.
 */
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { foldHosts, isHostName } from '@muster/contract'
import type { CredentialRef, HostDefaults, HostDraft, SourceContent } from '../hosts/inventory-host.ts'
import { NO_USER } from '../hosts/mistakes.ts'
import { type ConfigFile, type ReadConfig, type Reading, readConfigFiles } from '../ssh-config/config-files.ts'
import { type HostOptions, readHostOptions } from '../ssh-config/host-options.ts'
import { settle } from '../ssh-config/settings.ts'
import { isAddress } from './inventory-fields.ts'

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
  for (const name of new Set(hostNames(config.root))) {
    const host = draftOf(name, config, fileName, context)
    if (host === undefined) continue
    if (typeof host === 'string') warnings.push(`${fileName}: Host ${name}: left out: ${host}`)
    else hosts.push(host)
  }
  const told = untold(hosts)
  if (told !== undefined) warnings.push(`${fileName}: not taken: ${told}`)
  const refused = hosts.filter(({ disabled }) => disabled !== undefined).map(({ name }) => name)
  if (refused.length > 0) warnings.push(`${fileName}: disabled, as ssh would go another way: ${foldHosts(refused)}`)
  return { ...content, hosts, warnings: [...new Set(warnings)] }
}

function hostNames(file: ConfigFile): string[] {
  return file.sections.flatMap(({ header, lines }) => [
    ...(header?.keyword === 'host' ? header.words.filter((word) => !PATTERN.test(word)) : []),
    ...lines.flatMap(({ included = [] }) => included.flatMap(hostNames)),
  ])
}

/** The host; why it is left out; or undefined where no `Host` line with its name applies to it. */
function draftOf(
  name: string,
  config: ReadConfig,
  fileName: string,
  { defaults, env }: SshConfigContext,
): HostDraft | string | undefined {
  const { home, user: localUser, agentSocket } = defaults
  const settings = settle(config, { name }, localUser ?? '')
  if (!settings.isNamed) return undefined
  const directory = dirname(resolve(fileName))
  const options = readHostOptions(settings, { name, home, directory, env, localUser, agentSocket })
  const { address, port, user, hostKeyAlias, jumps, notTaken } = options
  if (!isHostName(name)) return 'a host name has letters, digits, ".", "_" and "-" only'
  if (user === undefined) return NO_USER
  const [jump] = jumps
  const isPlain = jump?.user === undefined && jump?.port === undefined
  if (jump !== undefined && !(jumps.length === 1 && isPlain && isHostName(jump.name))) {
    return 'ProxyJump must name one host of the inventory'
  }
  const fault = options.fault ?? (isAddress(address) ? undefined : 'HostName is neither a host name nor an IP address')
  return {
    name,
    aliases: [],
    address: isAddress(address) ? address : name,
    port,
    user,
    ...(jump !== undefined && { jump: jump.name }),
    ...(hostKeyAlias !== undefined && { hostKeyAlias }),
    labels: Object.freeze({}),
    credentials: credentialsOf(options, defaults),
    ...(notTaken.length > 0 && { notTaken: Object.freeze(notTaken.map((one) => Object.freeze(one))) }),
    ...(fault !== undefined && { disabled: fault, isFaulty: true }),
    position: { source: fileName, path: `Host ${name}` },
  }
}

/**
 * The credentials, as in OpenSSH: the keys of the config instead of the usual ones, then the other keys of the agent,
 * unless `IdentitiesOnly` is set. A key of which neither half exists is skipped: one `Host *` often lists the keys of
 * several computers.
 */
function credentialsOf(
  { identityFiles, isIdentitiesOnly, agent }: HostOptions,
  { agentSocket, credentials: usual }: HostDefaults,
): readonly CredentialRef[] {
  if (identityFiles === undefined && !isIdentitiesOnly && agent === undefined) return usual
  const socket = agent === 'none' ? undefined : (agent?.socket ?? agentSocket)
  const held = agent === undefined ? {} : { agent: socket ?? '' }
  const isThere = (file: string) => existsSync(file) || existsSync(`${file}.pub`)
  const keys: CredentialRef[] =
    identityFiles === undefined
      ? usual.flatMap((one) => (one.kind === 'key' ? [{ ...one, ...held }] : []))
      : identityFiles
          .filter(isThere)
          .map((identityFile) => ({ kind: 'key', identityFile, isOfOpenSsh: true, ...held }) as const)
  const others: CredentialRef[] = socket === undefined || isIdentitiesOnly ? [] : [{ kind: 'agent', socket }]
  return Object.freeze([...keys, ...others].map((credential) => Object.freeze(credential)))
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
