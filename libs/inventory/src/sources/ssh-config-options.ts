/**
 * The options of an SSH config that Muster does not follow: which, for which hosts, and whether a host would then be
 * reached at another address, by another way or as another user than by `ssh`. Such a host is disabled rather than
 * reached wrongly.
 *
 * Nothing is run to find out: the answers of `Match exec` and of name servers are not known here.
 */
import { isIP } from 'node:net'
import { foldHosts } from '@muster/contract'
import { matchesWildcards } from '../targets/wildcard.ts'

/** What the config says about a host: option names in lower case, in the order in which they were first set. */
export type Settings = Readonly<Record<string, string | string[]>>

/**
 * A `Match` section: its criteria in lower case with their patterns, the options in it, and the settings that a host
 * has before it.
 */
export type MatchSection = {
  readonly criteria: ReadonlyMap<string, string>
  readonly options: readonly string[]
  readonly before: (name: string) => Settings
}

/** Options that get another name, so that the library does not act on them. */
export const CANONICAL = new Map([
  ['canonicalizehostname', 'muster-canonicalizehostname'],
  ['canonicaldomains', 'muster-canonicaldomains'],
])

const TAKEN = new Set([
  'host',
  'hostname',
  'user',
  'port',
  'identityfile',
  'identitiesonly',
  'proxyjump',
  'hostkeyalias',
])
/** Options that say where a host is, how to get there, and who logs in. */
const OF_THE_WAY = new Set(['hostname', 'user', 'port', 'proxyjump', 'proxycommand', 'hostkeyalias'])
/** Of these two, the one that comes first excludes the other. */
const EXCLUSIVE: ReadonlyMap<string, string> = new Map([
  ['proxycommand', 'proxyjump'],
  ['proxyjump', 'proxycommand'],
])

/** Collects the options that are not followed, for one warning about all of them. */
export class UntakenOptions {
  readonly #matches: readonly MatchSection[]
  /** Option names in lower case, and how the file spells them. */
  readonly #spelled: ReadonlyMap<string, string>
  readonly #hosts = new Map<string, string[]>()

  constructor(matches: readonly MatchSection[], spelled: ReadonlyMap<string, string>) {
    this.#matches = matches
    this.#spelled = spelled
  }

  /** Notes the options that are not followed for a host. Returns why the host must not be reached, or undefined. */
  note(name: string, address: string, settings: Settings): string | undefined {
    const isProxied = isSet(settings.proxycommand) && isFirst('proxycommand', settings)
    const matches = this.#matches.filter(({ criteria }) => mayApply(criteria, name, address))
    const astray = matches.flatMap(({ options, before }) => {
      const known = before(name)
      return options.filter((option) => OF_THE_WAY.has(option) && !isDecided(option, known))
    })
    const canonical = isCanonicalized(settings, address)
    for (const key of Object.keys(settings)) if (!TAKEN.has(key)) this.#add(key.replace('muster-', ''), name)
    if (matches.length > 0) this.#add('match', name)
    const why = [
      ...(isProxied ? ['ProxyCommand'] : []),
      ...(canonical ? ['CanonicalizeHostName'] : []),
      ...(astray.length > 0 ? [`Match with ${[...new Set(astray)].map((key) => this.#written(key)).join(', ')}`] : []),
    ]
    if (why.length === 0) return undefined
    return `its SSH config has ${why.join(' and ')}, which Muster does not follow: write the host in inventory.yaml`
  }

  /** All that is not followed, and `besides`, in one line; undefined when there is nothing. */
  told(besides: readonly string[]): string | undefined {
    const byHosts = new Map<string, string[]>()
    for (const [option, hosts] of this.#hosts) {
      const folded = foldHosts(hosts)
      byHosts.set(folded, [...(byHosts.get(folded) ?? []), this.#written(option)])
    }
    const parts = [...byHosts].map(([hosts, options]) => `${options.join(', ')} for ${hosts}`)
    const all = [...besides, ...parts]
    return all.length === 0 ? undefined : `not taken: ${all.join('; ')}`
  }

  #add(option: string, name: string): void {
    const hosts = this.#hosts.get(option)
    if (hosts === undefined) this.#hosts.set(option, [name])
    else hosts.push(name)
  }

  /** The name as the file spells it. A text that is no option name may be a secret and is not shown. */
  #written(option: string): string {
    const written = this.#spelled.get(option) ?? option
    return /^[A-Za-z0-9-]{1,64}$/.test(written) ? written : 'something that is no option'
  }
}

function isSet(value: string | string[] | undefined): boolean {
  return value !== undefined && [value].flat()[0]?.toLowerCase() !== 'none'
}

/** Whether no option that excludes this one was set before it. */
function isFirst(option: string, settings: Settings): boolean {
  const keys = Object.keys(settings)
  const [own, other] = [option, EXCLUSIVE.get(option) ?? ''].map((key) => keys.indexOf(key))
  return own !== undefined && other !== undefined && (other === -1 || own < other)
}

/** Whether the option is settled already, so that a later value does not count. */
function isDecided(option: string, settings: Settings): boolean {
  return settings[option] !== undefined || settings[EXCLUSIVE.get(option) ?? ''] !== undefined
}

/** Whether ssh would ask a name server for the canonical name of the address. */
function isCanonicalized(settings: Settings, address: string): boolean {
  const [how = 'no'] = [settings['muster-canonicalizehostname'] ?? 'no'].flat()
  const hasDomains = settings['muster-canonicaldomains'] !== undefined
  const dots = address.split('.').length - 1
  const mostDots = Number([settings.canonicalizemaxdots ?? '1'].flat()[0])
  return how.toLowerCase() !== 'no' && hasDomains && isIP(address) === 0 && dots <= mostDots
}

/** Whether a `Match` may apply to a host. Only its name patterns can rule that out without running anything. */
function mayApply(criteria: ReadonlyMap<string, string>, name: string, address: string): boolean {
  const fits = (key: string, value: string) => {
    const patterns = criteria.get(key)
    return patterns === undefined || matchesList(patterns.toLowerCase(), value.toLowerCase())
  }
  return fits('originalhost', name) && fits('host', address)
}

function matchesList(patterns: string, value: string): boolean {
  const words = patterns.split(',').filter((word) => word !== '')
  const isRuledOut = words.some((word) => word.startsWith('!') && matchesWildcards(word.slice(1), value))
  return !isRuledOut && words.some((word) => !word.startsWith('!') && matchesWildcards(word, value))
}
