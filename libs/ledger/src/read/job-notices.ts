/**
 * What there is to know about a job beside the ends of its runs: the notices of its runs, hosts that are one machine
 * under several users, and hosts that showed the same host key. None of it changes what becomes of a run.
 */
import { foldHosts, type HostsNoticed, type Run } from '@muster/contract'
import { z } from 'zod'
import type { StoredJob } from '../job/stored-job.ts'
import { type Holder, holderText } from './holders.ts'

/** Most hosts that a notice names. Its count is of all hosts. */
export const HOSTS_LIMIT = 200

const KEY_MEANS = 'one machine under several addresses, or copies of one image'

/** The hosts of a job that share machines, as the job stores them. */
const SharedMachines = z.object({ hosts: z.string(), count: z.number().int(), machines: z.number().int() })

/** The field of a job that says which of its hosts share machines. Empty when no two hosts do. */
export function sharedMachines(hosts: readonly string[], machines: readonly string[]): Array<['shared', string]> {
  const counts = new Map<string, number>()
  for (const machine of machines) counts.set(machine, (counts.get(machine) ?? 0) + 1)
  const isShared = (i: number) => (counts.get(machines[i] ?? '') ?? 0) > 1
  const shared = hosts.filter((_, i) => isShared(i))
  if (shared.length === 0) return []
  const count = new Set(machines.filter((_, i) => isShared(i))).size
  const told = { hosts: foldSome(shared, shared.length), count: shared.length, machines: count }
  return [['shared', JSON.stringify(SharedMachines.parse(told))]]
}

/** A run that waits for its machine, and who holds that. */
export type Waiting = Holder & { readonly host: string }

/** Hosts that showed a host key after another one, `first`; '' for those of all keys, where there are many. */
export type SameKey = { readonly first: string; readonly count: number; readonly hosts: readonly string[] }

/**
 * All notices of a job, hosts folded: first those of its runs, as some readers only see the first few. `hosts` of a key
 * may be fewer than their count, and of those that wait only some are told.
 */
export function noticesOf(
  job: StoredJob,
  noticed: readonly Run[],
  sameKey: readonly SameKey[],
  waiting: readonly Waiting[],
): HostsNoticed[] {
  return [...groupByNotice(noticed), ...waitNotices(waiting), ...sharedNotice(job), ...sameKey.map(keyNotice)]
}

/** One for each job that holds machines, with the latest time that one of its runs has. */
function waitNotices(waiting: readonly Waiting[]): HostsNoticed[] {
  return [...new Set(waiting.map(({ jobId }) => jobId))].map((jobId) => {
    const told = waiting.filter((one) => one.jobId === jobId)
    const ends = told.map(({ untilMs }) => untilMs)
    const known = ends.filter((end) => end !== undefined)
    const untilMs = known.length < ends.length ? undefined : Math.max(...known)
    const notice = `waits for other runs: ${holderText({ jobId, untilMs, count: 1 })}`
    return { notice, hosts: foldHosts(told.map(({ host }) => host)), count: told.length }
  })
}

function sharedNotice({ shared }: StoredJob): HostsNoticed[] {
  if (shared === undefined) return []
  const { hosts, count, machines } = SharedMachines.parse(JSON.parse(shared))
  const what = machines === 1 ? 'one machine' : `${machines} machines`
  const notice = `${what} under different users: hosts of one machine share its places, so that their runs take turns`
  return [{ notice, hosts, count }]
}

function keyNotice({ first, count, hosts }: SameKey): HostsNoticed {
  const shown =
    first === '' ? 'showed the host key of another host of this job' : `showed the same host key as ${first}`
  return { notice: `${shown}: ${KEY_MEANS}`, hosts: foldSome(hosts, count), count }
}

/** Some of the names, folded; "…" stands for the others. */
function foldSome(names: readonly string[], count: number): string {
  const folded = foldHosts(names.slice(0, HOSTS_LIMIT))
  return count > HOSTS_LIMIT ? `${folded},…` : folded
}

function groupByNotice(runs: readonly Run[]): HostsNoticed[] {
  const groups = new Map<string, string[]>()
  for (const run of [...runs].sort((a, b) => a.index - b.index)) {
    const notice = noticeOf(run)
    groups.set(notice, [...(groups.get(notice) ?? []), run.host])
  }
  return [...groups].map(([notice, hosts]) => ({ notice, hosts: foldHosts(hosts), count: hosts.length }))
}

function noticeOf({ notice, late_result: late }: Run): string {
  if (late === null) return notice ?? ''
  const code = late.exit_code === null ? '' : `, exit code ${late.exit_code}`
  const reason = late.reason === null ? '' : `, ${late.reason}`
  const told = `a result came too late and changes nothing: ${late.state}${reason}${code}`
  return notice === null ? told : `${notice}; ${told}`
}
