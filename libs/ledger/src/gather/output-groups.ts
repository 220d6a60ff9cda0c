/**
 * Hosts that ended alike with the same output, as groups: by the digest that the worker made of all they printed, and
 * with masks also by what their output is after masking. Pure; reads nothing.
 */
import type { Outcome } from '../read/read-outcomes.ts'

/** Runs that are one group, in the order of the frozen set. */
export type OutcomeGroup = {
  readonly first: Outcome
  readonly runs: readonly Outcome[]
  /** How many different outputs they have. */
  readonly distinct: number
}

/** Whether a run belongs to a group; the others are told by state alone. */
export function hasOutput({ remote, bytes }: Outcome): boolean {
  // A command that ended belongs to a group even when it printed nothing; sudo that refused is no command.
  return remote === 'ended' || bytes.stdout + bytes.stderr > 0
}

/** What the runs of a group have in common beside their output: groups that differ in it are never joined. */
function endOf({ hasEnded, state, reason, exit_code, signal, output_complete }: Outcome): unknown[] {
  return [hasEnded, state, reason, exit_code, signal, output_complete]
}

/** Collects runs into groups whose output is equal byte for byte; `groups` are those of all that were added. */
export function collectGroups(): { add(run: Outcome): void; groups(): OutcomeGroup[] } {
  const collected = new Map<string, [Outcome, ...Outcome[]]>()
  return {
    add: (run) => {
      const key = JSON.stringify([...endOf(run), outputOf(run)])
      const alike = collected.get(key)
      if (alike === undefined) collected.set(key, [run])
      else alike.push(run)
    },
    groups: () => [...collected.values()].map((runs) => ({ first: runs[0], runs, distinct: 1 })),
  }
}

/** Whether two runs are known to have printed the same bytes. */
export function isSameOutput(a: Outcome, b: Outcome): boolean {
  return outputOf(a) === outputOf(b)
}

function outputOf({ index, bytes, digest, hasEnded, output_complete: isComplete }: Outcome): string | number {
  if (hasEnded && isComplete && bytes.stdout + bytes.stderr === 0) return ''
  // Without a digest nobody has seen all of the output: such a run is told by itself.
  return digest === '' || !hasEnded ? index : digest
}

/** The same groups, those joined whose output is the same after masking. A group that is not in the map stays alone. */
export function joinMasked(groups: readonly OutcomeGroup[], masked: ReadonlyMap<OutcomeGroup, string>): OutcomeGroup[] {
  const joined = new Map<string, OutcomeGroup[]>()
  for (const group of groups) {
    const key = JSON.stringify([...endOf(group.first), masked.get(group) ?? group.first.index])
    const alike = joined.get(key)
    if (alike === undefined) joined.set(key, [group])
    else alike.push(group)
  }
  return [...joined.values()].map((alike) => join(alike))
}

function join(alike: readonly OutcomeGroup[]): OutcomeGroup {
  const runs = alike.flatMap((group) => group.runs).sort((a, b) => a.index - b.index)
  const [first] = runs
  if (first === undefined) throw new Error('a group has at least one run')
  return { first, runs, distinct: alike.reduce((sum, { distinct }) => sum + distinct, 0) }
}

/** Those whose commands ended before those that go on; then the largest first, then that of the first host. */
export function inOrder(groups: readonly OutcomeGroup[]): OutcomeGroup[] {
  return [...groups].sort(
    (a, b) =>
      Number(b.first.hasEnded) - Number(a.first.hasEnded) ||
      b.runs.length - a.runs.length ||
      a.first.index - b.first.index,
  )
}

/** The group to compare with: lowest exit code, then largest, then first. Undefined when no command has ended. */
export function referenceOf(ordered: readonly OutcomeGroup[]): OutcomeGroup | undefined {
  const code = ({ first }: OutcomeGroup) => first.exit_code ?? Number.POSITIVE_INFINITY
  const ended = ordered.filter(({ first }) => first.hasEnded)
  return ended.reduce<OutcomeGroup | undefined>(
    (best, group) => (best === undefined || code(group) < code(best) ? group : best),
    undefined,
  )
}
