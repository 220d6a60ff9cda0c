/**
 * `~/.ssh/config` as a source of hosts: every `Host` name without a wildcard, with what OpenSSH would apply to it.
 *
 * Not done, and told by a warning: `Match`, `Include`, `ProxyCommand`, several hops in `ProxyJump`, canonical names.
 * `Match exec` and canonical names would run programs to read a file, so they are taken out before anything is computed.
 */
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { foldHosts, isHostName } from '@muster/contract'
import SSHConfig, { type Directive, type Line, type Section } from 'ssh-config'
import { expandPath } from './credentials.ts'
import { isAddress } from './inventory-fields.ts'
import { SSH_PORT } from './inventory-file.ts'
import type { CredentialRef, HostDefaults, HostDraft, SourceContent } from './inventory-host.ts'

/** Directives that are taken out, in lower case. A `Match` goes with all that is under it. */
const IGNORED = new Map([
  ['match', 'Match'],
  ['include', 'Include'],
  ['canonicalizehostname', 'CanonicalizeHostName'],
  ['canonicaldomains', 'CanonicalDomains'],
])

/** A pattern, or a negated name: settings for hosts, not a host. */
const PATTERN = /[*?!]/

type Settings = Readonly<Record<string, string | string[]>>

/** The hosts of the text of an SSH config. One that cannot be used is left out with a warning. */
export function readSshConfig(text: string, fileName: string, defaults: HostDefaults): SourceContent {
  const content = { groups: [], isOptional: true }
  let lines: Directive[]
  const warnings: string[] = []
  try {
    lines = directives(SSHConfig.parse(text), (what) => warnings.push(`${fileName}: ${what} is ignored`))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const mistake = { place: { source: fileName }, text: `this is not an SSH config: ${why}` }
    return { ...content, hosts: [], mistakes: [mistake], warnings: [] }
  }
  const hosts: HostDraft[] = []
  const withProxy: string[] = []
  for (const name of hostNames(lines)) {
    const settings = settingsOf(name, lines)
    const fault = faultOf(name, settings)
    if (fault !== undefined) {
      warnings.push(`${fileName}: Host ${name}: left out: ${fault}`)
      continue
    }
    if ((first(settings.proxycommand) ?? 'none').toLowerCase() !== 'none') withProxy.push(name)
    hosts.push(
      draft(name, settings, fileName, defaults, (file) =>
        warnings.push(`${fileName}: IdentityFile ${file} is ignored: only %d, %h, %n, %p, %r and %% are known`),
      ),
    )
  }
  if (withProxy.length > 0) warnings.push(`${fileName}: ProxyCommand is ignored for ${foldHosts(withProxy)}`)
  return { ...content, hosts, mistakes: [], warnings: [...new Set(warnings)] }
}

/** The directives that count, at this level and below. Each kind that is ignored is told once. */
function directives(config: SSHConfig, ignored: (what: string) => void): Directive[] {
  const told = new Set<string>()
  const kept = (lines: readonly Line[]): Directive[] => {
    const found: Directive[] = []
    for (const line of lines) {
      if (line.type !== SSHConfig.DIRECTIVE) continue
      const name = IGNORED.get(line.param.toLowerCase())
      if (name === undefined) {
        found.push('config' in line ? sectionOf(line, kept(line.config)) : line)
      } else if (!told.has(name)) {
        told.add(name)
        ignored(name)
      }
    }
    return found
  }
  return kept(config)
}

function sectionOf(section: Section, lines: readonly Line[]): Section {
  return { ...section, config: configOf(lines) }
}

function configOf(lines: readonly Line[]): SSHConfig {
  const config = new SSHConfig()
  for (const line of lines) config.push(line)
  return config
}

/** The words of a `Host` line, or none for any other line. */
function hostWords(line: Directive): string[] {
  if (line.param.toLowerCase() !== 'host') return []
  return typeof line.value === 'string' ? [line.value] : line.value.map(({ val }) => val)
}

function hostNames(lines: readonly Directive[]): Set<string> {
  return new Set(lines.flatMap(hostWords).filter((word) => !PATTERN.test(word)))
}

/** What applies to a host. Sections of other hosts are left out first: the library tries every pattern slowly. */
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

/** `HostName` may hold `%h`, the name. An address with another token is left as it is, and is then no address. */
function addressOf(name: string, settings: Settings): string {
  const address = first(settings.hostname) ?? name
  return expandTokens(address, { '%': '%', h: name }) ?? address
}

function jumpOf(settings: Settings): string | undefined {
  const jump = first(settings.proxyjump)
  return jump?.toLowerCase() === 'none' ? undefined : jump
}

function faultOf(name: string, settings: Settings): string | undefined {
  const port = first(settings.port)
  const jump = jumpOf(settings)
  if (!isHostName(name)) return 'a host name has letters, digits, ".", "_" and "-" only'
  if (!isAddress(addressOf(name, settings))) return 'HostName is neither a host name nor an IP address'
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
    return `Port must be from 1 to 65535, not "${port}"`
  }
  if (jump !== undefined && !isHostName(jump)) return 'ProxyJump must name one host of the inventory'
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
  const user = first(settings.user) ?? defaults.user
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
    place: { source: fileName, path: `Host ${name}` },
  }
}

/**
 * As OpenSSH: the keys of the config in place of the usual ones, and then what else the agent holds, unless
 * `IdentitiesOnly` is set. Key files of which neither half exists are passed over, since one `Host *` often lists the keys
 * of several computers.
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
    keys.push(Object.freeze({ kind: 'key', identityFile: expandPath(path, { home, directory: context.directory }) }))
  }
  if (keys.length === 0) return usual
  const isThere = (file: string) => existsSync(file) || existsSync(`${file}.pub`)
  const existing = keys.filter((key) => key.kind === 'key' && isThere(key.identityFile))
  const hasAgent = agentSocket !== undefined && first(settings.identitiesonly)?.toLowerCase() !== 'yes'
  const agent: CredentialRef[] = hasAgent ? [Object.freeze({ kind: 'agent', socket: agentSocket })] : []
  return Object.freeze([...existing, ...agent])
}

/** The text with its `%` tokens replaced, or undefined when one of them is not known. */
function expandTokens(text: string, tokens: Readonly<Record<string, string>>): string | undefined {
  const letters = [...text.matchAll(/%(.?)/g)].map(([, letter = '']) => letter)
  if (letters.some((letter) => !Object.hasOwn(tokens, letter))) return undefined
  return text.replace(/%(.)/g, (_, letter: string) => tokens[letter] ?? '')
}
