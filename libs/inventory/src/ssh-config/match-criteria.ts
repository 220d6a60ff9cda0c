/**
 * The criteria of a `Match` line, and whether they hold for a host. Nothing is run and nobody is asked: what `exec` and
 * a few others would say is not known, and then the answer is `maybe`.
 */
import { matchesWildcards } from '../targets/wildcard.ts'
import { nextWord } from './line-words.ts'

/** One criterion: its name in lower case, and its patterns where it has some. */
export type Criterion = { readonly name: string; readonly isNegated: boolean; readonly patterns: string }

/** What criteria are compared with: the names of the host so far, and the users. */
export type MatchedHost = {
  readonly host: string
  readonly originalHost: string
  readonly user: string
  readonly localUser: string
  /** Whether it is the second pass over the file. */
  readonly isFinal: boolean
}

/** Whether something applies. `maybe`: nobody can tell without running a program. */
export type Applies = 'yes' | 'no' | 'maybe'

const ALONE = new Set(['canonical', 'final'])
const COMPARED = new Set(['host', 'originalhost', 'user', 'localuser'])
/** Those whose answer is not known here. All but the first are of newer versions of OpenSSH. */
const UNKNOWN = new Set(['exec', 'tagged', 'localnetwork', 'command', 'version', 'sessiontype'])

/** The criteria of a line; undefined where ssh refuses it. */
export function readCriteria(rest: string): readonly Criterion[] | undefined {
  const criteria: Criterion[] = []
  let ahead: string | undefined = rest
  const take = () => {
    const next = ahead === undefined ? undefined : nextWord(ahead)
    ahead = next?.rest
    return next?.word
  }
  for (let word = take(); word !== undefined && word !== '' && !word.startsWith('#'); word = take()) {
    const isNegated = word.startsWith('!')
    const name = (isNegated ? word.slice(1) : word).toLowerCase()
    if (name === 'all') {
      const next = take()
      const isLast = next === undefined || next === '' || next.startsWith('#')
      return criteria.length > 1 || !isLast ? undefined : [...criteria, { name, isNegated, patterns: '' }]
    }
    if (ALONE.has(name)) {
      criteria.push({ name, isNegated, patterns: '' })
      continue
    }
    const patterns = take()
    const isMissing = patterns === undefined || patterns === '' || patterns.startsWith('#')
    if (isMissing || !(COMPARED.has(name) || UNKNOWN.has(name))) return undefined
    criteria.push({ name, isNegated, patterns })
  }
  return criteria.length === 0 ? undefined : criteria
}

/** Whether all criteria hold. One that does not settles it, whatever the unknown ones would say. */
export function holds(criteria: readonly Criterion[], host: MatchedHost): Applies {
  const answers = criteria.map((criterion) => answer(criterion, host))
  if (answers.includes('no')) return 'no'
  return answers.includes('maybe') ? 'maybe' : 'yes'
}

function answer({ name, isNegated, patterns }: Criterion, matched: MatchedHost): Applies {
  if (UNKNOWN.has(name)) return 'maybe'
  return compare(name, patterns, matched) === isNegated ? 'no' : 'yes'
}

function compare(name: string, patterns: string, { host, originalHost, user, localUser, isFinal }: MatchedHost) {
  switch (name) {
    case 'host':
      return matchesList(patterns.toLowerCase(), host.toLowerCase())
    case 'originalhost':
      return matchesList(patterns.toLowerCase(), originalHost.toLowerCase())
    case 'user':
      return matchesList(patterns, user)
    case 'localuser':
      return matchesList(patterns, localUser)
    case 'all':
      return true
    default:
      return isFinal
  }
}

/** Whether the name matches one of the patterns between commas, and none that begins with `!`. */
export function matchesList(patterns: string, name: string): boolean {
  const words = patterns.split(',')
  const isRuledOut = words.some((word) => word.startsWith('!') && matchesWildcards(word.slice(1), name))
  return !isRuledOut && words.some((word) => !word.startsWith('!') && matchesWildcards(word, name))
}
