/**
 * What an SSH config says about one host, as ssh would settle it: sections from top to bottom, and the first value of
 * an option wins. A `Match` whose outcome nobody can tell here is passed by; what it might have set is told.
 */
import { matchesWildcards } from '../targets/wildcard.ts'
import type { ConfigFile, ConfigLine, ReadConfig, Section } from './config-files.ts'
import { type Applies, holds, matchesList } from './match-criteria.ts'
import { isOption } from './option-table.ts'
import { expandTokens } from './tokens.ts'

/** A host to look up: the name that a person would give to ssh, and what the command line would add to it. */
export type Wanted = { readonly name: string; readonly given?: readonly ConfigLine[] }

/** The settings of a host. */
export type HostSettings = {
  /** The first line that sets an option, by its name in lower case. */
  readonly options: ReadonlyMap<string, ConfigLine>
  /** All `IdentityFile` lines, each value once. */
  readonly identityFiles: readonly ConfigLine[]
  /** Where ssh would connect to. */
  readonly address: string
  /** Whether a `Host` line that applies has this very name in it. */
  readonly isNamed: boolean
  /** Lines below a `Match` that may apply, which are not followed. `isOpen`: nothing has set that option before. */
  readonly unsure: readonly { readonly line: ConfigLine; readonly isOpen: boolean }[]
  /** `Match` lines that may apply. */
  readonly unsureMatches: readonly ConfigLine[]
  /** The line for which ssh refuses this host, and why. */
  readonly refused?: { readonly line: ConfigLine; readonly why: string }
}

/** Of these two, the one that comes first excludes the other. */
const EXCLUSIVE: ReadonlyMap<string, string> = new Map([
  ['proxycommand', 'proxyjump'],
  ['proxyjump', 'proxycommand'],
])

/** Settles the options of a host. `localUser` is whom ssh would log in as unless told otherwise. */
export function settle(config: ReadConfig, wanted: Wanted, localUser: string): HostSettings {
  const settling = new Settling(wanted, localUser)
  settling.walk(config.root, wanted.name, false)
  settling.fixAddress()
  const how = settling.options.get('canonicalizehostname')?.words[0] ?? 'no'
  if (config.hasFinal || !/^(?:no|false)$/i.test(how)) settling.walk(config.root, settling.address, true)
  const { address, options, identityFiles, isNamed, unsure, unsureMatches, refused } = settling
  return { address, options, identityFiles, isNamed, unsure, unsureMatches, ...(refused && { refused }) }
}

class Settling {
  readonly options = new Map<string, ConfigLine>()
  readonly identityFiles: ConfigLine[] = []
  readonly unsure: { line: ConfigLine; isOpen: boolean }[] = []
  readonly unsureMatches: ConfigLine[] = []
  isNamed = false
  refused: HostSettings['refused']
  readonly #wanted: Wanted
  readonly #localUser: string
  #fixedAddress: string | undefined

  constructor(wanted: Wanted, localUser: string) {
    this.#wanted = wanted
    this.#localUser = localUser
    for (const line of wanted.given ?? []) this.options.set(line.keyword, line)
  }

  /** What is set so far; a name in small letters, as ssh writes it. */
  get address(): string {
    if (this.#fixedAddress !== undefined) return this.#fixedAddress
    const { name } = this.#wanted
    const line = this.options.get('hostname')
    if (line === undefined) return name.toLowerCase()
    const { text, unknown } = expandTokens(line.words[0] ?? '', { '%': '%', h: name })
    if (unknown !== undefined) this.#refuse(line, `HostName: ${unknown}`)
    return text.toLowerCase()
  }

  /** The second pass does not change the address any more. */
  fixAddress(): void {
    this.#fixedAddress = this.address
  }

  /** Applies a file from its top. In the second pass `Host` lines are compared with the address. */
  walk(file: ConfigFile, name: string, isFinal: boolean, outer: Applies = 'yes'): void {
    for (const section of file.sectionsFor(name)) {
      const applies = section.header === undefined ? outer : least(outer, this.#applies(section, name, isFinal))
      if (applies === 'no') continue
      if (applies === 'maybe' && section.header?.keyword === 'match') this.#addOnce(this.unsureMatches, section.header)
      for (const line of section.lines) {
        for (const included of line.included ?? []) this.walk(included, name, isFinal, applies)
        if (line.included === undefined) this.#take(line, applies)
      }
    }
  }

  #applies({ header, criteria }: Section, name: string, isFinal: boolean): Applies {
    if (header === undefined) return 'yes'
    if (criteria === undefined) return this.#isForHost(header, name) ? 'yes' : 'no'
    const { name: originalHost } = this.#wanted
    const user = this.options.get('user')?.words[0] ?? this.#localUser
    const host = this.options.has('hostname') || isFinal ? this.address : name
    return holds(criteria, { host, originalHost, user, localUser: this.#localUser, isFinal })
  }

  #isForHost({ words }: ConfigLine, name: string): boolean {
    let applies = false
    for (const word of words) {
      const isNegated = word.startsWith('!')
      if (!matchesWildcards(isNegated ? word.slice(1) : word, name)) continue
      if (isNegated) return false
      applies = true
    }
    if (applies && words.includes(this.#wanted.name)) this.isNamed = true
    return applies
  }

  #take(line: ConfigLine, applies: Applies): void {
    const { keyword } = line
    if (!isOption(keyword)) {
      const excused = this.options.get('ignoreunknown')?.words[0] ?? ''
      if (!matchesList(excused.toLowerCase(), keyword)) this.#refuse(line, 'ssh does not know this option')
      return
    }
    if (applies === 'maybe') {
      if (!this.unsure.some((known) => known.line === line)) this.unsure.push({ line, isOpen: this.#isOpen(keyword) })
      return
    }
    if (keyword === 'identityfile') {
      const isKnown = this.identityFiles.some(({ words }) => words[0] === line.words[0])
      if (!isKnown) this.identityFiles.push(line)
    } else if (keyword === 'connecttimeout' && isNone(line)) {
      // As ssh has it, this says nothing, so a later line counts.
    } else if (this.#isOpen(keyword)) this.options.set(keyword, line)
  }

  #isOpen(keyword: string): boolean {
    if (keyword === 'identityfile') return true
    if (keyword === 'hostname' && this.#fixedAddress !== undefined) return false
    const other = this.options.get(EXCLUSIVE.get(keyword) ?? '')
    // As ssh has it, "ProxyJump none" does not keep a ProxyCommand from counting.
    const isExcluded = other !== undefined && !(keyword === 'proxycommand' && isNone(other))
    return !this.options.has(keyword) && !isExcluded
  }

  #addOnce(lines: ConfigLine[], line: ConfigLine): void {
    if (!lines.includes(line)) lines.push(line)
  }

  #refuse(line: ConfigLine, why: string): void {
    this.refused ??= { line, why }
  }
}

/** Whether the value of a line is `none`. */
export function isNone({ keyword, rest, words }: ConfigLine): boolean {
  return (keyword === 'proxycommand' ? rest.replace(/^=/, '').trim() : words[0])?.toLowerCase() === 'none'
}

function least(a: Applies, b: Applies): Applies {
  if (a === 'no' || b === 'no') return 'no'
  return a === 'maybe' || b === 'maybe' ? 'maybe' : 'yes'
}
