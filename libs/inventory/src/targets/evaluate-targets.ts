/**
 * Works out which hosts a parsed target expression selects.
 *
 * It reports unknown names; the caller decides whether they are mistakes of a file or of a request.
 */
import {
  foldHosts,
  type LabelCondition,
  MusterError,
  plainRequestAddress,
  type RequestHost,
  shortened,
  type TargetStep,
  type TargetTerm,
} from '@muster/contract'
import { nearest, nearestHint } from './nearest.ts'
import { matchesWildcards } from './wildcard.ts'

/** The names that an expression can use. */
export type Known = {
  /** Where the hosts are, for errors. */
  readonly searched: 'inventory' | 'job'
  /** Every host, in order. */
  readonly hosts: ReadonlyMap<string, { readonly labels: Readonly<Record<string, string>> }>
  /** The name of the host that each alias stands for. */
  readonly aliases: ReadonlyMap<string, string>
  readonly groupNames: Iterable<string>
  /** The hosts of a group, or undefined when there is no such group. */
  readonly groupHosts: (name: string) => readonly string[] | undefined
  /** The one name of a host that the expression names itself. Absent: it must name none. */
  readonly ofRequest?: (given: RequestHost) => string
  /** Whether an unknown name or address is such a host too. Absent: it is unknown. */
  readonly takesBareNames?: boolean
}

/** How many characters of unknown names an error quotes at most. */
const TEXT_LIMIT = 200

/**
 * How many names all terms of one expression may visit: some fifty terms over 10,000 hosts. That takes about 50 ms;
 * thousands of terms over all hosts would block the process for seconds.
 */
const WORK_LIMIT = 500_000

/** The unknown names of an expression. */
export type Unknown = {
  /** For example `no such host in the inventory: web[13-14]; did you mean "web12"?`. */
  readonly text: string
  /** The known names closest to the first unknown one, groups with their "@". */
  readonly nearest: readonly string[]
  /** The position of the first one in the expression, zero-based. */
  readonly position: number
}

type Work = { readonly known: Known; readonly unknown: { name: string; position: number }[]; left: number }

/**
 * The names of the selected hosts, in the order of their first mention, and the names that are unknown.
 * @throws {MusterError} invalid_target, with `details.position`, for an expression that is too much work
 */
export function evaluateTargets(
  steps: readonly TargetStep[],
  known: Known,
): { names: ReadonlySet<string>; unknown: Unknown | undefined } {
  const work: Work = { known, unknown: [], left: WORK_LIMIT }
  const names = evaluate(steps, work)
  return { names, unknown: describe(work.unknown, known) }
}

function evaluate(steps: readonly TargetStep[], work: Work): Set<string> {
  let names = new Set<string>()
  for (const { op, term } of steps) {
    const found = hostsOf(term, work)
    if (op === 'union') {
      for (const name of found) names.add(name)
    } else if (op === 'difference') {
      for (const name of found) names.delete(name)
    } else if (op === 'symmetric_difference') {
      for (const name of found) if (!names.delete(name)) names.add(name)
    } else {
      spend(work, names.size, term)
      names = new Set([...names].filter((name) => found.has(name)))
    }
  }
  return names
}

/** The hosts of one term. Notes unknown names, which stand for no host. */
function hostsOf(term: TargetTerm, work: Work): ReadonlySet<string> {
  const { known, unknown } = work
  const { hosts } = known
  const { position } = term
  switch (term.kind) {
    case 'parentheses': {
      const found = evaluate(term.steps, work)
      spend(work, found.size, term)
      return found
    }
    case 'all':
      spend(work, hosts.size, term)
      return new Set(hosts.keys())
    case 'group': {
      const members = known.groupHosts(term.name)
      if (members === undefined) unknown.push({ name: `@${term.name}`, position })
      spend(work, members?.length ?? 0, term)
      return new Set(members?.filter((name) => hosts.has(name)))
    }
    case 'labels':
      spend(work, hosts.size * term.conditions.length, term)
      return labelledHosts(term.conditions, hosts)
    case 'wildcards':
      return wildcardHosts(term, work)
    case 'names':
      return namedHosts(term, work)
    case 'request_host':
      return new Set(hostsOfRequest(term, work))
    default:
      return term satisfies never
  }
}

/** The hosts with these names or aliases. Every name must be known. */
function namedHosts(
  { names, position }: Extract<TargetTerm, { kind: 'names' }>,
  { known, unknown }: Work,
): Set<string> {
  const found = new Set<string>()
  for (const name of names) {
    const host = known.hosts.has(name) ? name : known.aliases.get(name)
    const address = known.takesBareNames === true ? plainRequestAddress(name) : undefined
    if (host !== undefined && known.hosts.has(host)) found.add(host)
    else if (address !== undefined && known.ofRequest !== undefined)
      found.add(at(position, known.ofRequest, { address }))
    else unknown.push({ name, position })
  }
  return found
}

/** The host that the expression names itself. In a job it must be one of the job. */
function hostsOfRequest(
  { host, position }: Extract<TargetTerm, { kind: 'request_host' }>,
  { known, unknown }: Work,
): string[] {
  const { user = '', address, port } = host
  const name = known.ofRequest === undefined ? undefined : at(position, known.ofRequest, host)
  if (name !== undefined && (known.searched === 'inventory' || known.hosts.has(name))) return [name]
  unknown.push({ name: name ?? `${user}@${address}${port === undefined ? '' : `:${port}`}`, position })
  return []
}

/** The name, or the error of looking it up with its place in the expression. */
function at(position: number, nameOf: (given: RequestHost) => string, given: RequestHost): string {
  try {
    return nameOf(given)
  } catch (error) {
    if (!(error instanceof MusterError)) throw error
    throw new MusterError(error.code, error.message, { details: { position, ...error.details }, cause: error })
  }
}

/** Patterns match names, not aliases, so that an alias never changes what they select. Every pattern must match. */
function wildcardHosts(term: Extract<TargetTerm, { kind: 'wildcards' }>, work: Work): Set<string> {
  const { hosts } = work.known
  spend(work, hosts.size * term.patterns.length, term)
  const found = new Set<string>()
  for (const pattern of term.patterns) {
    let isMatched = false
    for (const name of hosts.keys()) {
      if (!matchesWildcards(pattern, name)) continue
      isMatched = true
      found.add(name)
    }
    if (!isMatched) work.unknown.push({ name: pattern, position: term.position })
  }
  return found
}

function labelledHosts(conditions: readonly LabelCondition[], hosts: Known['hosts']): Set<string> {
  const found = new Set<string>()
  // A condition may list thousands of values, and there may be as many hosts.
  const wanted = conditions.map(({ key, isNegated, values }) => ({ key, isNegated, values: new Set(values) }))
  for (const [name, { labels }] of hosts) {
    if (wanted.every((condition) => meets(condition, labels))) found.add(name)
  }
  return found
}

/** Whether labels meet a condition. An absent label equals nothing, so it meets every "!=". */
function meets(
  { key, isNegated, values }: Pick<LabelCondition, 'key' | 'isNegated'> & { readonly values: ReadonlySet<string> },
  labels: Readonly<Record<string, string>>,
): boolean {
  const value = labels[key]
  return (value !== undefined && values.has(value)) !== isNegated
}

function spend(work: Work, names: number, { position }: TargetTerm): void {
  work.left -= names
  if (work.left >= 0) return
  const text = `too many terms over too many hosts, up to the one at position ${position}; ask for less at once`
  throw new MusterError('invalid_target', text, { details: { position } })
}

function describe(unknown: readonly { name: string; position: number }[], known: Known): Unknown | undefined {
  const [first] = unknown
  if (first === undefined) return undefined
  const { hosts } = known
  const aliases = [...known.aliases].filter(([, host]) => hosts.has(host)).map(([alias]) => alias)
  const candidates = [...hosts.keys(), ...aliases, ...[...known.groupNames].map((name) => `@${name}`)]
  const isWildcard = (name: string) => /[*?]/.test(name)
  const close = isWildcard(first.name) ? [] : nearest(first.name, candidates)
  const patterns = unknown.filter(({ name }) => isWildcard(name)).map(({ name }) => name)
  const plain = unknown.filter(({ name }) => !isWildcard(name)).map(({ name }) => name)
  const kinds = new Set(plain.map((name) => (name.startsWith('@') ? 'group' : 'host')))
  const texts: string[] = []
  if (plain.length > 0) texts.push(`no such ${[...kinds].join(' or ')} in the ${known.searched}: ${shorten(plain)}`)
  if (patterns.length > 0) texts.push(`no host in the ${known.searched} matches ${shorten(patterns)}`)
  const advice = close.length === 0 ? adviceFor(first.name, known) : ''
  return { text: texts.join('; ') + nearestHint(close) + advice, nearest: close, position: first.position }
}

/** For who typed the address of a host that the inventory does not have. */
function adviceFor(name: string, { searched, ofRequest }: Known): string {
  const isAddress = /^[^@*?]+\.[^@*?]+$/.test(name) && plainRequestAddress(name) !== undefined
  if (searched === 'job' || ofRequest === undefined || !isAddress) return ''
  return `; one that it does not have is named with its user, such as root@${name}`
}

function shorten(names: readonly string[]): string {
  return shortened(foldHosts(names), TEXT_LIMIT)
}
