/** Tests whether hosts can be reached and logged in to. Hosts with the same answer are one group. */
import type { ConnectionTest, Input } from '@muster/contract'
import { byCause, type Cause, type Outcome } from '@muster/ledger'
import type { Caller, OperationDeps } from '../call/operation.ts'
import { countsOf, type LookJob, lookAtHosts, namesOf, nextOf, unforced } from './look.ts'

/** Runs `true`, which takes no time, so a host that needs longer is not well. */
export const CONNECTION_TEST: LookJob = { title: 'connection test', argv: ['true'], execTimeoutS: 10, isTest: true }

/**
 * Runs `true` on the hosts and says which could be reached and logged in to. Those that could not come first.
 * @throws {MusterError} invalid_target, unknown_target, no_targets, idempotency_conflict
 */
export async function testConnection(
  deps: OperationDeps,
  input: Input<'test_connection'>,
  caller: Caller,
): Promise<ConnectionTest> {
  const looked = await lookAtHosts(deps, { ...CONNECTION_TEST, tool: 'test_connection', input }, caller)
  const runs = [...looked.others, ...looked.groups].flatMap((group) => group.runs)
  return { ...countsOf(looked), groups: groupsOf(runs), ...nextOf(looked) }
}

function groupsOf(runs: readonly Outcome[]): ConnectionTest['groups'] {
  const groups = new Map<string, { ok: boolean | null; runs: Outcome[] }>()
  for (const run of [...runs].sort((a, b) => a.index - b.index)) {
    const ok = okOf(run)
    const key = JSON.stringify([ok, ok === null ? null : run.reason])
    const group = groups.get(key) ?? { ok, runs: [] }
    group.runs.push(run)
    groups.set(key, group)
  }
  const rank = (ok: boolean | null) => [false, null, true].indexOf(ok)
  return [...groups.values()]
    .flatMap(({ ok, runs: alike }) => causesOf(ok, alike).map((cause) => ({ ok, ...cause })))
    .sort((a, b) => rank(a.ok) - rank(b.ok) || b.runs.length - a.runs.length)
    .map(({ ok, runs: alike, detail }) => {
      const reason = ok === null ? null : alike[0]?.reason
      return {
        hosts: namesOf(alike.map(({ host }) => host)),
        count: alike.length,
        ok,
        ...(reason == null ? {} : { reason }),
        ...(ok === true ? {} : { detail: unforced(detail) ?? alike[0]?.state ?? '' }),
        ...timesOf(alike),
      }
    })
}

/** Null while nothing is known: the test has not ended, or was cancelled. */
function okOf({ hasEnded, state }: Outcome): boolean | null {
  return hasEnded && state !== 'cancelled' ? state === 'succeeded' : null
}

/** Splits hosts that could not be reached by cause; keeps all others together. */
function causesOf(ok: boolean | null, runs: readonly Outcome[]): Cause<Outcome>[] {
  if (ok === false) return byCause(runs)
  const isOpen = runs.some(({ hasEnded }) => !hasEnded)
  return [{ runs, detail: ok === null && isOpen ? 'No answer yet.' : null }]
}

function timesOf(runs: readonly Outcome[]) {
  const times = runs.flatMap(({ connect_ms: ms }) => (ms === null ? [] : [ms])).sort((a, b) => a - b)
  const [median, slowest] = [times[Math.floor((times.length - 1) / 2)], times.at(-1)]
  if (median === undefined || slowest === undefined) return {}
  return { connect_ms_median: median, connect_ms_slowest: slowest }
}
