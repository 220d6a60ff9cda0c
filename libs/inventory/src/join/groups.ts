/**
 * Works out which hosts each group holds. A group is a target expression, which may name other groups.
 *
 * A group may be empty: labels come and go, and a job with an empty target set is refused anyway.
 */
import { MusterError, parseTargets } from '@muster/contract'
import type { GroupDraft } from '../hosts/inventory-host.ts'
import type { Mistake } from '../hosts/mistakes.ts'
import { evaluateTargets } from '../targets/evaluate-targets.ts'
import type { JoinedHosts } from './join-hosts.ts'

/** The names of the hosts of every group, in the order of the file, and the mistakes in the definitions. */
export function buildGroups(
  drafts: readonly GroupDraft[],
  { hosts, aliases }: Pick<JoinedHosts, 'hosts' | 'aliases'>,
): { groups: ReadonlyMap<string, readonly string[]>; mistakes: Mistake[] } {
  const byName = new Map(drafts.map((draft) => [draft.name, draft]))
  const mistakes: Mistake[] = []
  const done = new Map<string, readonly string[]>()
  /** The groups being worked out, the outermost first: meeting one of them again is a circle. */
  const open: string[] = []

  function membersOf(name: string): readonly string[] | undefined {
    const draft = byName.get(name)
    if (draft === undefined) return undefined
    const known = done.get(name)
    if (known !== undefined) return known
    if (open.includes(name)) {
      const circle = [...open.slice(open.indexOf(name)), name].map((group) => `@${group}`).join(' → ')
      mistakes.push({ position: draft.position, text: `a group cannot contain itself: ${circle}` })
      return []
    }
    open.push(name)
    const members = Object.freeze([...evaluate(draft)])
    open.pop()
    done.set(name, members)
    return members
  }

  function evaluate(draft: GroupDraft): Iterable<string> {
    const problem = (text: string) => mistakes.push({ position: draft.position, text })
    try {
      const steps = parseTargets(draft.expression)
      const { names, unknown } = evaluateTargets(steps, {
        searched: 'inventory',
        hosts,
        aliases,
        groupNames: byName.keys(),
        groupHosts: membersOf,
      })
      if (unknown !== undefined) problem(unknown.text)
      return names
    } catch (error) {
      if (!(error instanceof MusterError)) throw error
      problem(error.message)
      return []
    }
  }

  return { groups: new Map(drafts.map(({ name }) => [name, membersOf(name) ?? []])), mistakes }
}
