/** Groups the runs of a job that printed the same, without reading what they printed. */
import { setImmediate as letOthersRun } from 'node:timers/promises'
import type { JobState } from '@muster/contract'
import { readStoredJob } from '../job/stored-job.ts'
import { collectEnds, stateByRuns } from '../read/ended-job.ts'
import { type Outcome, readOutcomes } from '../read/read-outcomes.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { collectGroups, hasOutput, inOrder, type OutcomeGroup } from './output-groups.ts'

/** The runs of a job: each is in exactly one group, or among those without output. */
type RunGroups = {
  readonly state: JobState
  readonly total: number
  /** Groups of runs that ended alike with the same output, the largest first; then runs whose command goes on. */
  readonly groups: readonly OutcomeGroup[]
  readonly without: readonly Outcome[]
}

/**
 * Returns all runs of a job, in groups. Undefined when there is no such job.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRunGroups(ledger: Ledger, jobId: string): Promise<RunGroups | undefined> {
  const job = await readStoredJob(ledger, jobId)
  if (job === undefined) return undefined
  const printed = collectGroups()
  const without: Outcome[] = []
  const ends = collectEnds()
  for await (const run of readOutcomes(ledger, jobId, job)) {
    ends.add(run)
    if (hasOutput(run)) printed.add(run)
    else without.push(run)
  }
  await letOthersRun()
  const state = await stateByRuns(ledger, job, ends.ended())
  return { state, total: job.total, groups: inOrder(printed.groups()), without }
}
