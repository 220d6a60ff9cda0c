/**
 * Turns the three sections of `inventory.yaml` into hosts and groups, and reports every mistake with its line.
 *
 * It sees this text alone. `join/` checks whether jump hosts and the hosts of groups exist, once all sources are known.
 */
import { dirname, resolve } from 'node:path'
import { expandRanges, isHostName, MusterError, SSH_PORT } from '@muster/contract'
import { readHostMatcher } from '../hosts/host-matcher.ts'
import type { GroupDraft, HostDefaults, HostDraft, NamedCredential, SourceContent } from '../hosts/inventory-host.ts'
import { type Mistake, NO_USER } from '../hosts/mistakes.ts'
import { namedCredentials, namedSudoPassword } from './credentials.ts'
import { recogniseForeign } from './foreign-inventory.ts'
import {
  CredentialFields,
  Defaults,
  expandAddress,
  HostFields,
  isAddress,
  readFields,
  unknownName,
  withoutValue,
} from './inventory-fields.ts'
import { readYaml, type YamlEntry } from './yaml-entries.ts'

const SECTIONS = ['defaults', 'hosts', 'groups', 'credentials']

const NAME_RULE = 'has letters, digits, ".", "_" and "-" only, and begins with a letter or digit'

/** The reason for a host with `disabled: true`. */
const NO_REASON = 'no reason given'

/** Reads the text of an inventory file. Mistakes show `fileName`; its directory is the base of relative paths. */
export function readInventoryFile(text: string, fileName: string, defaults: HostDefaults): SourceContent {
  const { entries, faults, isBroken } = readYaml(text)
  const foreign = recogniseForeign(text, { entries, isBroken })
  const mistakes: Mistake[] = (foreign === undefined ? faults : [foreign]).map(({ line, text: fault }) => ({
    position: { source: fileName, line },
    text: fault,
  }))
  const content = { hosts: [], groups: [], mistakes, warnings: [], isOptional: false }
  // The entries of a broken or foreign text are guesses, and mistakes found in them would be too.
  if (isBroken || foreign !== undefined) return content
  const section = (name: string) => entries.find(({ key }) => key === name)
  for (const { key, line } of entries) {
    if (SECTIONS.includes(key)) continue
    mistakes.push({
      position: { source: fileName, line, path: withoutValue(key) },
      text: unknownName('section', key, SECTIONS),
    })
  }
  const { home, agentSocket } = defaults
  const reader = { fileName, mistakes, directory: dirname(resolve(fileName)), home, agentSocket }
  const common = readDefaults(section('defaults'), reader, defaults)
  const hosts = children(section('hosts'), reader).flatMap((entry) => readHosts(entry, reader, common))
  const groups = children(section('groups'), reader).flatMap((entry) => readGroup(entry, reader))
  const credentials = children(section('credentials'), reader).flatMap((entry) => readCredential(entry, reader))
  return { ...content, hosts, groups, credentials }
}

/** What the functions below share: where mistakes go, and the base of paths. */
type Reader = { fileName: string; mistakes: Mistake[]; directory: string; home: string; agentSocket?: string }

type Common = Pick<HostDefaults, 'user'> & Pick<HostDraft, 'port' | 'credentials' | 'sudoPassword'>

function readDefaults(entry: YamlEntry | undefined, reader: Reader, outer: HostDefaults): Common {
  if (entry === undefined) return { user: outer.user, port: SSH_PORT, credentials: outer.credentials }
  const { fields, mistakes } = readFields(Defaults, entry, { source: reader.fileName, path: 'defaults' })
  reader.mistakes.push(...mistakes)
  const sudoPassword = namedSudoPassword(fields, reader)
  return {
    user: fields.user ?? outer.user,
    port: fields.port === undefined ? SSH_PORT : Number(fields.port),
    credentials: namedCredentials(fields, reader) ?? outer.credentials,
    ...(sudoPassword && { sudoPassword }),
  }
}

function children(section: YamlEntry | undefined, reader: Reader): YamlEntry[] {
  if (section === undefined) return []
  const entries = section.entries()
  if (entries === undefined && section.value() !== '') {
    report(reader, section, section.key, `expected names with their values, one ${section.key.slice(0, -1)} a line`)
  }
  return entries ?? []
}

/** The hosts that one entry stands for: one, or as many as the range in its name has. */
function readHosts(entry: YamlEntry, reader: Reader, common: Common): HostDraft[] {
  const path = `hosts.${withoutValue(entry.key)}`
  const mistakesBefore = reader.mistakes.length
  const { fields, mistakes } = readFields(HostFields, entry, { source: reader.fileName, path })
  reader.mistakes.push(...mistakes)
  const names = namesOf(entry, reader, path)
  if (names.length === 0) return []
  const problem = (field: string, text: string) => {
    const position = { source: reader.fileName, line: entry.lineAt([field]), path: `${path}.${field}` }
    reader.mistakes.push({ position, text })
  }
  const ports = paired(fields.port === undefined ? [] : expandRanges(fields.port), names, (text) =>
    problem('port', text),
  )
  const addresses = paired(fields.address === undefined ? names : expandAddress(fields.address), names, (text) =>
    problem('address', text),
  )
  const unreachable = fields.address === undefined ? names.find((name) => !isAddress(name)) : undefined
  if (unreachable !== undefined) report(reader, entry, path, `give an address: "${unreachable}" is not a host name`)
  const user = fields.user ?? common.user
  if (user === undefined) problem('user', NO_USER)
  const aliases = aliasesOf(fields.aliases, names, (text) => problem('aliases', text))
  const aliasPosition = { source: reader.fileName, line: entry.lineAt(['aliases']), path: `${path}.aliases` }
  const labels = Object.freeze(fields.labels ?? {})
  const credentials = namedCredentials(fields, reader) ?? common.credentials
  const sudoPassword = namedSudoPassword(fields, reader) ?? common.sudoPassword
  const disabled = fields.disabled === 'true' ? NO_REASON : fields.disabled
  const position = { source: reader.fileName, line: entry.line, path }
  const isFaulty = reader.mistakes.length > mistakesBefore
  return names.map((name, i) => ({
    name,
    aliases: (aliases[i] ?? []).map((alias) => ({ name: alias, position: aliasPosition })),
    address: addresses[addresses.length === 1 ? 0 : i] ?? name,
    port: Number(ports[ports.length === 1 ? 0 : i] ?? common.port),
    user: user ?? '',
    ...(fields.jump !== undefined && { jump: fields.jump }),
    ...(fields.host_key_alias !== undefined && { hostKeyAlias: fields.host_key_alias }),
    ...(fields.algorithms !== undefined && { algorithms: fields.algorithms }),
    labels,
    ...(disabled !== undefined && disabled !== 'false' && { disabled }),
    credentials,
    ...(sudoPassword && { sudoPassword }),
    ...(isFaulty && { isFaulty }),
    position,
  }))
}

function namesOf(entry: YamlEntry, reader: Reader, path: string): string[] {
  try {
    // A key that is no name may hold a value, which the error of the range would quote.
    const names = withoutValue(entry.key) === entry.key ? expandRanges(entry.key) : ['']
    if (names.every(isHostName)) return names
    report(reader, entry, path, `a host name ${NAME_RULE}`)
  } catch (error) {
    if (!(error instanceof MusterError)) throw error
    report(reader, entry, path, error.message)
  }
  return []
}

/** The values, if they pair up with the names. A single value for several names is for the caller to judge. */
function paired(values: string[], names: readonly string[], problem: (text: string) => void): string[] {
  if (values.length <= 1 || values.length === names.length) return values
  const hosts = names.length === 1 ? 'one host' : `${names.length} hosts`
  problem(`a range of ${values.length} for ${hosts}; ranges pair up in order, so the counts must be equal`)
  return []
}

/** The aliases of each name. A single name gets all of them; with several, they pair up with the names in order. */
function aliasesOf(
  given: string | readonly string[] | undefined,
  names: readonly string[],
  problem: (text: string) => void,
): string[][] {
  const aliases = [given ?? []].flat().map((text) => expandRanges(text))
  if (names.length === 1) return [aliases.flat()]
  const single = aliases.find(({ length }) => length === 1)
  if (single !== undefined)
    problem(`"${single}" would name ${names.length} hosts; give a range that pairs up with the names`)
  const pairs = aliases.map((texts) => paired(texts, names, problem))
  return names.map((_, i) => pairs.flatMap((texts) => texts[i] ?? []))
}

function readGroup(entry: YamlEntry, reader: Reader): GroupDraft[] {
  const path = `groups.${withoutValue(entry.key)}`
  if (!isHostName(entry.key)) {
    report(reader, entry, path, `a group name ${NAME_RULE}`)
    return []
  }
  const expression = entry.value()
  if (typeof expression !== 'string') {
    const isUnquoted = entry.entries() !== undefined
    const instead = isUnquoted ? 'put labels in quotes: "{env=prod}"' : 'such as "web[01-12],db01"'
    report(reader, entry, path, `expected text; ${instead}`)
    return []
  }
  return [{ name: entry.key, expression, position: { source: reader.fileName, line: entry.line, path } }]
}

/** Something to log in with, or the password for sudo, at hosts that requests name. */
function readCredential(entry: YamlEntry, reader: Reader): NamedCredential[] {
  const path = `credentials.${withoutValue(entry.key)}`
  if (!isHostName(entry.key)) report(reader, entry, path, `the name of a credential ${NAME_RULE}`)
  const { fields, mistakes } = readFields(CredentialFields, entry, { source: reader.fileName, path })
  reader.mistakes.push(...mistakes)
  if (mistakes.length > 0 || !isHostName(entry.key)) return []
  const hosts = fields.hosts === undefined ? undefined : readHostMatcher([fields.hosts].flat())
  const credentials = namedCredentials(fields, reader)
  const sudoPassword = namedSudoPassword(fields, reader)
  if (hosts === undefined) report(reader, entry, path, 'give hosts: the networks and name patterns that it is for')
  else if ('mistake' in hosts) report(reader, entry, `${path}.hosts`, hosts.mistake)
  else if (credentials === undefined && sudoPassword === undefined)
    report(reader, entry, path, 'give identity_file, agent, password_file or password_env')
  else {
    const users = fields.users === undefined ? {} : { users: Object.freeze([fields.users].flat()) }
    const secrets = { credentials: credentials ?? Object.freeze([]), ...(sudoPassword && { sudoPassword }) }
    return [Object.freeze({ name: entry.key, hosts, ...users, ...secrets })]
  }
  return []
}

function report(reader: Reader, entry: YamlEntry, path: string, text: string): void {
  reader.mistakes.push({ position: { source: reader.fileName, line: entry.line, path }, text })
}
