/** Runs without output, folded: those that ended alike and by the same cause are one row. Pure. */
import { foldHosts, type HostsByState, type Run } from '@muster/contract'
import { byCause } from '../job/causes.ts'

/** What a row says of a run. */
export type StateOfRun = Pick<Run, 'host' | 'state' | 'reason' | 'exit_code' | 'remote' | 'detail'>

/** Rows for some runs, those of most runs first. */
export function groupByState(runs: readonly StateOfRun[]): HostsByState[] {
  const collected = collectByState()
  for (const run of runs) collected.add(run)
  return collected.rows()
}

/** The same for runs that come one after the other. */
export function collectByState(): { add(run: StateOfRun): void; rows(): HostsByState[] } {
  const groups = new Map<string, [StateOfRun, ...StateOfRun[]]>()
  return {
    add: (run) => {
      const key = JSON.stringify([run.state, run.reason, run.exit_code, run.remote])
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [run])
      else group.push(run)
    },
    rows: () =>
      [...groups.values()]
        .flatMap((group) => byCause(group).map((cause) => ({ ...cause, first: group[0] })))
        .sort((a, b) => b.runs.length - a.runs.length)
        .map(({ first: { state, reason, exit_code }, runs, detail }) => ({
          state,
          reason,
          exit_code,
          detail,
          hosts: foldHosts(runs.map(({ host }) => host)),
          count: runs.length,
        })),
  }
}
