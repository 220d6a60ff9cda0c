/**
 * `~/.ssh/config` as a source of hosts: every `Host` name without a wildcard, with the options that OpenSSH would
 * apply.
 *
 * One warning lists the options that are not followed; a host that they would lead elsewhere is disabled
 * (ssh-config-options.ts). `Match exec` and canonical names, which would run programs and ask name servers, are removed
 * before anything is computed.
 */
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { foldHosts, isHostName } from '@muster/contract'
import SSHConfig, { type Directive, type Line, type Match, type Section } from 'ssh-config'
import type { CredentialRef, HostDefaults, HostDraft, SourceContent } from '../hosts/inventory-host.ts'
import { NO_USER } from '../hosts/mistakes.ts'
import { expandPath } from './credentials.ts'
import { isAddress } from './inventory-fields.ts'
import { SSH_PORT } from './inventory-file.ts'
import { CANONICAL, type MatchSection, type Settings, UntakenOptions } from './ssh-config-options.ts'

/** A pattern or a negated name: this is not a host. */
const PATTERN = /[*?!]/

/** The hosts of an SSH config. A host that cannot be used is left out with a warning. */
export function readSshConfig(text: string, fileName: string, defaults: HostDefaults): SourceContent {
  const content = { groups: [], isOptional: true }
  let config: Config
  const warnings: string[] = []
  try {
    config = readDirectives(SSHConfig.parse(text))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const mistake = { position: { source: fileName }, text: `this is not an SSH config: ${why}` }
    return { ...content, hosts: [], mistakes: [mistake], warnings: [] }
  }
  const { lines } = config
  const untaken = new UntakenOptions(config.matches, config.spelled)
  const hosts: HostDraft[] = []
  for (const name of hostNames(lines)) {
    const settings = settingsOf(name, lines)
    const fault = faultOf(name, settings, defaults)
    if (fault !== undefined) {
      warnings.push(`${fileName}: Host ${name}: left out: ${fault}`)
      continue
    }
    const host = draft(name, settings, fileName, defaults, (file) =>
      warnings.push(`${fileName}: IdentityFile ${file} is ignored: only %d, %h, %n, %p, %r and %% are known`),
    )
    const disabled = untaken.note(name, host.address, settings)
    hosts.push(disabled === undefined ? host : { ...host, disabled, isFaulty: true })
  }
  const told = untaken.told(config.hasIncludes ? ['Include, and the hosts in it'] : [])
  if (told !== undefined) warnings.push(`${fileName}: ${told}`)
  const refused = hosts.filter(({ disabled }) => disabled !== undefined).map(({ name }) => name)
  if (refused.length > 0) warnings.push(`${fileName}: disabled, as ssh would go another way: ${foldHosts(refused)}`)
  return { ...content, hosts, mistakes: [], warnings: [...new Set(warnings)] }
}

/** A config without anything that would run programs or ask name servers. */
type Config = {
  readonly lines: readonly Directive[]
  readonly matches: readonly MatchSection[]
  readonly hasIncludes: boolean
  readonly spelled: ReadonlyMap<string, string>
}

function readDirectives(config: SSHConfig): Config {
  const lines: Directive[] = []
  const matches: MatchSection[] = []
  const spelled = new Map<string, string>()
  let hasIncludes = false
  const kept = (found: readonly Line[]): Directive[] =>
    found.flatMap((line) => {
      if (line.type !== SSHConfig.DIRECTIVE) return []
      const key = line.param.toLowerCase()
      if (!spelled.has(key)) spelled.set(key, line.param)
      if (key === 'include') hasIncludes = true
      if (key === 'include') return []
      if ('config' in line) return [sectionOf(line, kept(line.config))]
      return [{ ...line, param: CANONICAL.get(key) ?? line.param }]
    })
  for (const line of kept(config)) {
    if (!isMatch(line)) {
      lines.push(line)
      continue
    }
    const earlier = [...lines]
    const options = optionsOf(line)
    matches.push({ criteria: criteriaOf(line), options, before: (name) => settingsOf(name, earlier) })
  }
  return { lines, matches, hasIncludes, spelled }
}

function isMatch(line: Directive): line is Match {
  return 'criteria' in line && 'config' in line
}

function optionsOf(section: Section): string[] {
  return section.config.flatMap((line) => (line.type === SSHConfig.DIRECTIVE ? [line.param.toLowerCase()] : []))
}

function criteriaOf({ criteria }: Match): Map<string, string> {
  const words = Object.entries(criteria).map(([key, value]) => {
    return [key.toLowerCase(), typeof value === 'string' ? value : value.map(({ val }) => val).join(',')] as const
  })
  return new Map(words)
}

function sectionOf(section: Section, lines: readonly Line[]): Section {
  return { ...section, config: configOf(lines) }
}

function configOf(lines: readonly Line[]): SSHConfig {
  const config = new SSHConfig()
  for (const line of lines) config.push(line)
  return config
}

/** The words of a `Host` line; none for any other line. */
function hostWords(line: Directive): string[] {
  if (line.param.toLowerCase() !== 'host') return []
  return typeof line.value === 'string' ? [line.value] : line.value.map(({ val }) => val)
}

function hostNames(lines: readonly Directive[]): Set<string> {
  return new Set(lines.flatMap(hostWords).filter((word) => !PATTERN.test(word)))
}

/** The settings of a host. Sections of other hosts are left out first, because the library is slow at patterns. */
function settingsOf(name: string, lines: readonly Directive[]): Settings {
  const relevant = lines.filter((line) => {
    const words = hostWords(line)
    return words.length === 0 || words.some((word) => word === name || PATTERN.test(word))
  })
  return configOf(relevant).compute(name, { ignoreCase: true, matchExec: false })
}

function first(value: string | string[] | undefined): string | undefined {
  return typeof value === 'object' ? value[0] : value
}

/** The address of a host. `HostName` may contain `%h`, the name; with any other token it is no address. */
function addressOf(name: string, settings: Settings): string {
  const address = first(settings.hostname) ?? name
  return expandTokens(address, { '%': '%', h: name }) ?? address
}

function jumpOf(settings: Settings): string | undefined {
  const jump = first(settings.proxyjump)
  return jump?.toLowerCase() === 'none' ? undefined : jump
}

function faultOf(name: string, settings: Settings, defaults: HostDefaults): string | undefined {
  const port = first(settings.port)
  const jump = jumpOf(settings)
  if (!isHostName(name)) return 'a host name has letters, digits, ".", "_" and "-" only'
  if (!isAddress(addressOf(name, settings))) return 'HostName is neither a host name nor an IP address'
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
    return `Port must be from 1 to 65535, not "${port}"`
  }
  if (jump !== undefined && !isHostName(jump)) return 'ProxyJump must name one host of the inventory'
  if ((first(settings.user) ?? defaults.user) === undefined) return NO_USER
  return undefined
}

function draft(
  name: string,
  settings: Settings,
  fileName: string,
  defaults: HostDefaults,
  ignored: (identityFile: string) => void,
): HostDraft {
  const address = addressOf(name, settings)
  const port = Number(first(settings.port) ?? SSH_PORT)
  const user = first(settings.user) ?? defaults.user ?? ''
  const jump = jumpOf(settings)
  const hostKeyAlias = first(settings.hostkeyalias)
  const tokens = { '%': '%', d: defaults.home, h: address, n: name, p: String(port), r: user }
  return {
    name,
    aliases: [],
    address,
    port,
    user,
    ...(jump !== undefined && { jump }),
    ...(hostKeyAlias !== undefined && { hostKeyAlias }),
    labels: Object.freeze({}),
    credentials: credentialsOf(settings, { tokens, defaults, directory: dirname(resolve(fileName)), ignored }),
    position: { source: fileName, path: `Host ${name}` },
  }
}

/**
 * The credentials, as in OpenSSH: the keys of the config instead of the usual ones, then the other keys of the agent,
 * unless `IdentitiesOnly` is set. A key of which neither half exists is skipped: one `Host *` often lists the keys of
 * several computers.
 */
function credentialsOf(
  settings: Settings,
  context: {
    tokens: Readonly<Record<string, string>>
    defaults: HostDefaults
    directory: string
    ignored: (identityFile: string) => void
  },
): readonly CredentialRef[] {
  const { home, agentSocket, credentials: usual } = context.defaults
  const keys: CredentialRef[] = []
  for (const file of [settings.identityfile ?? []].flat()) {
    const path = expandTokens(file, context.tokens)
    if (path === undefined) context.ignored(file)
    if (path === undefined || path.toLowerCase() === 'none') continue
    const identityFile = expandPath(path, { home, directory: context.directory })
    keys.push(Object.freeze({ kind: 'key', identityFile, isOfOpenSsh: true }))
  }
  if (keys.length === 0) return usual
  const isThere = (file: string) => existsSync(file) || existsSync(`${file}.pub`)
  const existing = keys.filter((key) => key.kind === 'key' && isThere(key.identityFile))
  const hasAgent = agentSocket !== undefined && first(settings.identitiesonly)?.toLowerCase() !== 'yes'
  const agent: CredentialRef[] = hasAgent ? [Object.freeze({ kind: 'agent', socket: agentSocket })] : []
  return Object.freeze([...existing, ...agent])
}

/** The text with its `%` tokens replaced; undefined when it has an unknown one. */
function expandTokens(text: string, tokens: Readonly<Record<string, string>>): string | undefined {
  const letters = [...text.matchAll(/%(.?)/g)].map(([, letter = '']) => letter)
  if (letters.some((letter) => !Object.hasOwn(tokens, letter))) return undefined
  return text.replace(/%(.)/g, (_, letter: string) => tokens[letter] ?? '')
}
