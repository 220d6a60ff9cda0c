/** Reads what a rerun needs: the command and options of a job, and those of its hosts that ended in certain states. */
import { foldHosts, type Input, type TerminalRunState } from '@muster/contract'
import { readSpec } from '../job/job-texts.ts'
import { readStoredJob, type StoredJob } from '../job/stored-job.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'

/** Runs whose state is read in one round trip. */
const CHUNK = 2_000

/**
 * A request for the same command with the same options, and the hosts whose run ended in one of `states`, in their
 * order; there may be none. Undefined when there is no such job.
 * @throws {MusterError} ledger_unavailable
 */
export async function readRerun(
  ledger: Ledger,
  jobId: string,
  states: readonly TerminalRunState[],
): Promise<{ request: Omit<Input<'submit_job'>, 'idempotency_key' | 'wait_s'>; hosts: string[] } | undefined> {
  const job = await readStoredJob(ledger, jobId)
  if (job === undefined) return undefined
  const hosts: string[] = []
  for (let from = 0; from < job.total; from += CHUNK) hosts.push(...(await endedAs(ledger, jobId, job, from, states)))
  const read = await readSpec(ledger, jobId)
  if (read === undefined) return undefined
  return { request: { ...read.spec, title: job.title, targets: foldHosts(hosts), order: 'given' }, hosts }
}

async function endedAs(
  { redis, keys }: Ledger,
  jobId: string,
  job: StoredJob,
  from: number,
  states: readonly string[],
): Promise<string[]> {
  const names = await ask(redis, () => redis.lrange(keys.hosts(jobId), from, from + CHUNK - 1))
  const stored = await ask(redis, () =>
    Promise.all(names.map((_, i) => redis.hget(keys.run(jobId, from + i), 'state'))),
  )
  return names.filter((_, i) => {
    const isRest = job.rest_from !== undefined && from + i >= job.rest_from
    const state = stored[i] ?? (isRest ? job.rest_state : undefined)
    return state !== undefined && states.includes(state)
  })
}
