/**
 * What there is to know about a job beside the ends of its runs: the notices of its runs, hosts that are one machine
 * under several users, and hosts that showed the same host key. None of it changes what becomes of a run.
 */
import { foldHosts, type HostsNoticed, type Run } from '@muster/contract'
import { z } from 'zod'
import type { StoredJob } from '../job/stored-job.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { readRuns } from './read-run.ts'

/** Most hosts that a notice names. Its count is of all hosts. */
const HOSTS_LIMIT = 200
/** When several hosts showed one key, for more keys than this, one notice tells of all of them. */
const KEYS_LIMIT = 5

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

/**
 * Returns all notices of a job, hosts folded. Those of its runs come first, because some readers see only the first
 * few.
 * @throws {MusterError} ledger_unavailable
 */
export async function readNotices(ledger: Ledger, jobId: string, job: StoredJob): Promise<HostsNoticed[]> {
  const { redis, keys } = ledger
  const noticed = await ask(redis, () => redis.srandmember(keys.noticed(jobId), HOSTS_LIMIT))
  return [
    ...groupByNotice(await readRuns(ledger, jobId, job, noticed.map(Number))),
    ...sharedNotice(job),
    ...(await keyNotices(ledger, jobId)),
  ]
}

function sharedNotice({ shared }: StoredJob): HostsNoticed[] {
  if (shared === undefined) return []
  const { hosts, count, machines } = SharedMachines.parse(JSON.parse(shared))
  const what = machines === 1 ? 'one machine' : `${machines} machines`
  const notice = `${what} under different users: hosts of one machine share its places, so that their runs take turns`
  return [{ notice, hosts, count }]
}

/** Notices about twins: hosts that showed a key which another host, the first, had shown before. */
async function keyNotices(ledger: Ledger, jobId: string): Promise<HostsNoticed[]> {
  const { redis, keys } = ledger
  const twins = keys.twins(jobId)
  const firsts: string[] = []
  for (let after = '-inf'; firsts.length <= KEYS_LIMIT; ) {
    const [, first] = await ask(redis, () => redis.zrangebyscore(twins, after, '+inf', 'WITHSCORES', 'LIMIT', 0, 1))
    if (first === undefined) break
    firsts.push(first)
    after = `(${first}`
  }
  if (firsts.length > KEYS_LIMIT) {
    const hosts = await readTwins(ledger, jobId, '-inf', '+inf')
    return [{ notice: `showed the host key of another host of this job: ${KEY_MEANS}`, ...hosts }]
  }
  const notices = firsts.map(async (first) => {
    const name = await ask(redis, () => redis.lindex(keys.hosts(jobId), Number(first)))
    return {
      notice: `showed the same host key as ${name}: ${KEY_MEANS}`,
      ...(await readTwins(ledger, jobId, first, first)),
    }
  })
  return Promise.all(notices)
}

/** The twins of the first hosts between two indexes: some of their names, and the count of all. */
async function readTwins({ redis, keys }: Ledger, jobId: string, from: string, to: string) {
  const twins = keys.twins(jobId)
  const [count, indexes] = await ask(redis, () =>
    Promise.all([redis.zcount(twins, from, to), redis.zrangebyscore(twins, from, to, 'LIMIT', 0, HOSTS_LIMIT)]),
  )
  const inOrder = indexes.map(Number).sort((a, b) => a - b)
  const names = await ask(redis, () => Promise.all(inOrder.map((i) => redis.lindex(keys.hosts(jobId), i))))
  const hosts = foldSome(
    names.filter((name) => name !== null),
    count,
  )
  return { hosts, count }
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
