/** Cancelling a job. The workers that hold runs of it are told by a message and kill what they started. */
import { z } from 'zod'
import { ask, type Ledger } from './open-ledger.ts'
import { runScript } from './scripts.ts'

/**
 * Cancels a job: runs that no worker holds end at once, the others when their worker has killed them. Cancelling a
 * job that has ended changes nothing. False when there is no such job.
 * @throws {MusterError} ledger_unavailable
 */
export async function cancelJob(ledger: Ledger, jobId: string): Promise<boolean> {
  const { redis, keys } = ledger
  const answer = await ask(redis, () => runScript(redis, 'cancel', [keys.job(jobId)], [keys.base, jobId]), jobId)
  return z.enum(['cancelling', 'ended', 'unknown']).parse(answer) !== 'unknown'
}
