/** Reads what the hosts of a look printed, one output for all hosts that printed the same. */
import { setImmediate as letOthersRun } from 'node:timers/promises'
import { type Ledger, type OutcomeGroup, readBeginningBytes } from '@muster/ledger'
import type { Looked } from './look.ts'
import type { FoundProblem } from './look-problems.ts'

/** The beginning of an output, and whether that is all of it. */
export type Beginning = { readonly bytes: Buffer; readonly isAll: boolean }

/** What an output says, and what is wrong with it: either may be missing. */
export type Understood<T> = { readonly found?: T | undefined; readonly problem?: string | undefined }

/** How outputs are read: so many bytes of each, and so many side by side. */
export type Reading<T> = {
  readonly mostBytes: number
  readonly atOnce: number
  understand(printed: Beginning, first: OutcomeGroup['first']): Understood<T> | Promise<Understood<T>>
}

/** Reads the outputs of these groups of hosts. Others get their turn in between. */
export async function readOutputs<T>(
  ledger: Ledger,
  { jobId, groups }: Pick<Looked, 'jobId' | 'groups'>,
  { mostBytes, atOnce, understand }: Reading<T>,
): Promise<{ found: { hosts: string[]; found: T }[]; problems: FoundProblem[] }> {
  const all: { hosts: string[]; found: T }[] = []
  const problems: FoundProblem[] = []
  const readOne = async ({ first, runs }: OutcomeGroup) => {
    const printed = await readBeginningBytes(ledger, jobId, first.index, 'stdout', mostBytes)
    return { hosts: hostsOf(runs), ...(await understand(printed, first)) }
  }
  for (let from = 0; from < groups.length; from += atOnce) {
    for (const { hosts, found, problem } of await Promise.all(groups.slice(from, from + atOnce).map(readOne))) {
      if (found !== undefined) all.push({ hosts, found })
      if (problem !== undefined) problems.push({ hosts, state: 'succeeded', problem, likeness: problem })
    }
    await letOthersRun()
  }
  return { found: all, problems }
}

/** The hosts of some runs. */
export function hostsOf(runs: OutcomeGroup['runs']): string[] {
  return runs.map(({ host }) => host)
}
