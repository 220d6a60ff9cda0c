/**
 * Groups hosts that ended alike with the same output: by the digest that the worker made of all they printed, and with
 * masks also by their output after masking. Pure; reads nothing.
 */
import type { Outcome } from '../read/read-outcomes.ts'

/** The runs of one group, in the order of the frozen set; at least one. */
export type OutcomeGroup = {
  readonly first: Outcome
  readonly runs: readonly Outcome[]
  /** How many different outputs they have. */
  readonly distinct: number
}

/** Whether a run belongs to a group. The others are told by their state only. */
export function hasOutput({ remote, bytes }: Outcome): boolean {
  // A command that ended belongs to a group even if it printed nothing. A refusal by sudo is not a command.
  return remote === 'ended' || bytes.stdout + bytes.stderr > 0
}

/** What the runs of a group have in common beside their output. */
function endOf({ hasEnded, state, reason, exit_code, signal, output_complete }: Outcome): unknown[] {
  return [hasEnded, state, reason, exit_code, signal, output_complete]
}

/** Collects runs into groups whose output is equal byte for byte. `groups` returns the groups of all added runs. */
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
  // Without a digest nobody has seen all of the output, so such a run is a group of its own.
  return digest === '' || !hasEnded ? index : digest
}

/** Joins the groups whose digest in `masked` is the same. A group that is not in `masked` stays alone. */
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

/** Sorts groups: those whose commands have ended first, then the largest, then the one with the first host. */
export function inOrder(groups: readonly OutcomeGroup[]): OutcomeGroup[] {
  return [...groups].sort(
    (a, b) =>
      Number(b.first.hasEnded) - Number(a.first.hasEnded) ||
      b.runs.length - a.runs.length ||
      a.first.index - b.first.index,
  )
}

/** The group to compare the others with: the lowest exit code, then the first. Undefined when no command has ended. */
export function referenceOf(ordered: readonly OutcomeGroup[]): OutcomeGroup | undefined {
  const code = ({ first }: OutcomeGroup) => first.exit_code ?? Number.POSITIVE_INFINITY
  const ended = ordered.filter(({ first }) => first.hasEnded)
  return ended.reduce<OutcomeGroup | undefined>(
    (best, group) => (best === undefined || code(group) < code(best) ? group : best),
    undefined,
  )
}
