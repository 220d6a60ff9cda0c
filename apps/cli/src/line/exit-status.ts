/** The exit status of `muster`: one number for how a job ended, or why there is none. */
import type { Counts, Problem, RunState } from '@muster/contract'

/** Every exit status by its meaning; `muster help` lists them. */
export const EXIT = {
  succeeded: 0,
  someFailed: 1,
  usage: 2,
  noTargets: 3,
  onlyUnreached: 4,
  anyLost: 5,
  waitEnded: 124,
  interrupted: 130,
} as const

/**
 * The status for a job that has ended. Lost runs outrank everything: nobody knows what they did. 4 means that every
 * command that started has succeeded, but some hosts were never reached.
 */
export function exitStatusOf({ counts, total }: { counts: Counts; total: number }): number {
  if (counts.lost > 0) return EXIT.anyLost
  if (counts.succeeded === total) return EXIT.succeeded
  const unreached = counts.unreachable + counts.skipped
  return counts.succeeded + unreached === total ? EXIT.onlyUnreached : EXIT.someFailed
}

/** The status for one run that has ended: the same as for a job with this one host. */
export function exitStatusOfRun(state: RunState): number {
  if (state === 'succeeded') return EXIT.succeeded
  if (state === 'lost') return EXIT.anyLost
  return state === 'unreachable' || state === 'skipped' ? EXIT.onlyUnreached : EXIT.someFailed
}

/** The status for a request that was refused. */
export function exitStatusOfProblem(problem: Pick<Problem, 'code'>): number {
  return problem.code === 'no_targets' ? EXIT.noTargets : EXIT.usage
}
