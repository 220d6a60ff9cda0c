/**
 * Walks a parsed target expression over the hosts and groups there are: the one place that adds and removes.
 *
 * Reports what is unknown, and leaves it to the caller whether that is a mistake of the file or of a request.
 */
import { foldHosts, type TargetStep } from '@muster/contract'
import { nearest, nearestHint } from './nearest.ts'

/** What an expression can name. */
export type Known = {
  /** Every host, in order. */
  readonly hosts: ReadonlyMap<string, unknown>
  readonly groupNames: Iterable<string>
  /** The hosts of a group, or undefined when there is no such group. */
  readonly groupHosts: (name: string) => readonly string[] | undefined
}

/** The most characters of unknown names that an error quotes. */
const TEXT_LIMIT = 200

/** The unknown names of an expression. */
export type Unknown = {
  /** Such as `no such host in the inventory: web[13-14]; did you mean "web12"?`. */
  readonly text: string
  /** The known names closest to the first unknown one, groups with their "@". */
  readonly nearest: readonly string[]
  /** Where the first one stands in the expression, zero-based. */
  readonly position: number
}

/** The selected names, in the order of their first mention and without duplicates. */
export function selectHosts(
  steps: readonly TargetStep[],
  known: Known,
): { names: ReadonlySet<string>; unknown: Unknown | undefined } {
  const names = new Set<string>()
  const unknown: { name: string; position: number }[] = []
  for (const step of steps) {
    const change = (name: string) => (step.op === 'add' ? names.add(name) : names.delete(name))
    if (step.group === '*') {
      for (const name of known.hosts.keys()) change(name)
    } else if (step.group !== undefined) {
      const members = known.groupHosts(step.group)
      if (members === undefined) unknown.push({ name: `@${step.group}`, position: step.position })
      for (const name of members ?? []) change(name)
    }
    for (const name of step.names) {
      if (known.hosts.has(name)) change(name)
      else unknown.push({ name, position: step.position })
    }
  }
  return { names, unknown: describe(unknown, known) }
}

function describe(unknown: readonly { name: string; position: number }[], known: Known): Unknown | undefined {
  const [first] = unknown
  if (first === undefined) return undefined
  const candidates = [...known.hosts.keys(), ...[...known.groupNames].map((name) => `@${name}`)]
  const close = nearest(first.name, candidates)
  const kinds = new Set(unknown.map(({ name }) => (name.startsWith('@') ? 'group' : 'host')))
  const names = foldHosts(unknown.map(({ name }) => name))
  const shown = names.length > TEXT_LIMIT ? `${names.slice(0, TEXT_LIMIT)}…` : names
  const text = `no such ${[...kinds].join(' or ')} in the inventory: ${shown}${nearestHint(close)}`
  return { text, nearest: close, position: first.position }
}
