/**
 * What went wrong in a look, in the hosts' own words where they printed some: each problem once, with its hosts, the
 * largest first.
 */
import { setImmediate as letOthersRun } from 'node:timers/promises'
import type { HostsWithProblem } from '@muster/contract'
import { causeOf, type Ledger, readBeginningBytes } from '@muster/ledger'
import { clip } from '../../text/clip.ts'
import { type Looked, namesOf, unforced } from './look.ts'

/** Most problems in an answer, and most outputs that are read to quote the hosts' own words. */
const PROBLEMS_LIMIT = 12
const WORDS_LIMIT = 100
/** Longest text of a problem: when there are few, each may say more. */
const PROBLEM_CHARS = { all: 1_200, most: 600, least: 200 } as const

/** Hosts with a problem, before problems are merged. */
export type FoundProblem = Omit<HostsWithProblem, 'hosts' | 'count'> & {
  readonly hosts: readonly string[]
  /** Problems with the same likeness become one. */
  readonly likeness: string
}

/**
 * What went wrong: hosts with the same problem are one entry, the largest first. Hosts that have not ended are left
 * out.
 */
export async function problemsOf(
  ledger: Ledger,
  { jobId, others }: Looked,
  more: readonly FoundProblem[] = [],
): Promise<HostsWithProblem[]> {
  const found: FoundProblem[] = [...more]
  for (const [i, { first, runs }] of others.entries()) {
    if (!first.hasEnded) continue
    const hosts = runs.map(({ host }) => host)
    const { state, reason, exit_code: code, index, bytes } = first
    const isTold = i < WORDS_LIMIT && reason === 'exit_nonzero' && bytes.stderr > 0
    const said = isTold ? await readBeginningBytes(ledger, jobId, index, 'stderr', 2_000) : undefined
    const words = said === undefined ? undefined : firstLine(said.bytes)
    found.push({
      hosts,
      state,
      problem: words ?? unforced(first.detail) ?? reason ?? state,
      ...(code === null ? {} : { exit_code: code }),
      // Details that name a host or an address differ from host to host, so those are merged by their cause.
      likeness: words ?? `${reason} ${causeOf(first)}`,
    })
  }
  await letOthersRun()
  return folded(found)
}

function folded(found: readonly FoundProblem[]): HostsWithProblem[] {
  const merged = merge(found)
  const shown = merged.slice(0, PROBLEMS_LIMIT)
  const left = merged.slice(PROBLEMS_LIMIT)
  const hosts = left.flatMap((problem) => problem.hosts)
  if (hosts.length > 0) {
    shown.push({ hosts, state: 'various', problem: `${left.length} more kinds of problems: call get_job to see them` })
  }
  return shown.map((problem) => ({ ...problem, hosts: namesOf(problem.hosts), count: problem.hosts.length }))
}

function merge(found: readonly FoundProblem[]) {
  const merged = new Map<string, { first: FoundProblem; hosts: string[]; isSame: boolean }>()
  for (const problem of found) {
    const key = JSON.stringify([problem.state, problem.exit_code, problem.likeness])
    const alike = merged.get(key) ?? { first: problem, hosts: [], isSame: true }
    alike.hosts.push(...problem.hosts)
    alike.isSame &&= alike.first.problem === problem.problem
    merged.set(key, alike)
  }
  const { all, most, least } = PROBLEM_CHARS
  const room = Math.max(least, Math.min(most, Math.floor(all / merged.size)))
  return [...merged.values()]
    .sort((a, b) => b.hosts.length - a.hosts.length)
    .map(({ first: { likeness: _likeness, ...first }, hosts, isSame }) => {
      const problem = isSame ? first.problem : `${first.hosts[0]}, for example: ${first.problem}`
      return { ...first, hosts, problem: clip(problem, room) }
    })
}

function firstLine(bytes: Buffer): string | undefined {
  const line = bytes
    .toString('utf8')
    .split('\n')
    .find((text) => text.trim() !== '')
  return line?.trim()
}
