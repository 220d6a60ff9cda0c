/**
 * Stops a job or some of its runs, or raises its exec timeout. A message tells the workers that hold runs of it; they
 * also look by themselves, because a message may be lost (job-watch.ts).
 */
import { MusterError } from '@muster/contract'
import { z } from 'zod'
import { type SignWork, signedOrder } from '../job/signed-work.ts'
import { hostsOfJob } from '../read/read-job.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { releaseTickets } from '../tickets/ticket-queue.ts'

/** Runs cancelled by one script. It takes about 10 ms, in which Redis does nothing else. */
const CANCEL_AT_ONCE = 1_000

/**
 * Cancels a job, or its runs on `hosts`. Runs that no worker holds end at once, the others when their worker has killed
 * them. Cancelling what has ended changes nothing. Resolves to false when there is no such job.
 * @throws {MusterError} unknown_target when one of `hosts` is not in the job; ledger_unavailable
 */
export async function cancelJob(ledger: Ledger, jobId: string, hosts?: readonly string[]): Promise<boolean> {
  const indexes = hosts === undefined ? [] : await indexesOf(ledger, jobId, hosts)
  if (indexes === undefined) return false
  // From the last to the first: cancelling a run releases the next pending one, which must not be one of these.
  const last = [...indexes].sort((a, b) => b - a)
  for (let from = 0; from === 0 || from < last.length; from += CANCEL_AT_ONCE) {
    const some = last.slice(from, from + CANCEL_AT_ONCE)
    const answer = await ask(ledger.redis, () => runScript(ledger, 'cancel', { jobId }, some), jobId)
    if ((await releaseTickets(ledger, answer)) === 'unknown') return false
  }
  return true
}

/**
 * Raises the exec timeout of a job that has not ended, also for commands that run. `unknown`: there is no such job.
 * `ended`: it has ended, and nothing was changed.
 * @throws {MusterError} invalid_request when the limit is less than the present one
 */
export async function extendJob(
  ledger: Ledger,
  jobId: string,
  execTimeoutMs: number,
  sign?: SignWork,
): Promise<'raised' | 'ended' | 'unknown'> {
  const wantedMs = Math.round(execTimeoutMs)
  const given = {
    jobId,
    execTimeoutMs: wantedMs,
    signed: await signedOrder(sign, jobId, { exec_timeout_ms: wantedMs }),
  }
  const answer = z.string().parse(await ask(ledger.redis, () => runScript(ledger, 'extend', given), jobId))
  const word = z.enum(['raised', 'ended', 'unknown']).safeParse(answer)
  if (word.success) return word.data
  throw new MusterError(
    'invalid_request',
    `exec_timeout_s: ${execTimeoutMs / 1_000} is less than the present limit, ${Number(answer) / 1_000}`,
    { details: { field: 'exec_timeout_s', job_id: jobId } },
  )
}

/**
 * The indexes of hosts in the frozen set. Undefined when there is no such job. No host at all would mean the whole job.
 */
async function indexesOf(ledger: Ledger, jobId: string, hosts: readonly string[]): Promise<number[] | undefined> {
  if (hosts.length === 0) throw new MusterError('no_targets', `no host of job ${jobId} is selected`)
  const all = await hostsOfJob(ledger, jobId)
  if (all === undefined) return undefined
  const positions = new Map(all.map((host, index) => [host, index]))
  return hosts.map((host) => {
    const index = positions.get(host)
    if (index !== undefined) return index
    throw new MusterError('unknown_target', `job ${jobId} has no host "${host}"`, {
      details: { field: 'targets', job_id: jobId },
    })
  })
}
