/** Steers a job: lets it go on after a gate, or changes how many of its runs may be in flight. */
import type { Concurrency } from '@muster/contract'
import { z } from 'zod'
import { concurrencyOf } from '../job/rollout.ts'
import { type SignWork, signedOrder } from '../job/signed-work.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { releaseTickets } from '../tickets/ticket-queue.ts'

/**
 * Lets a job that is paused after a batch go on with the next batch. With `batch`, counted from 0, only if it is paused
 * after that batch, so that a request which is sent twice opens one gate. `unknown`: there is no such job.
 * `not_paused`: it does not wait, and nothing was changed.
 * @throws {MusterError} ledger_unavailable
 */
export async function resumeJob(
  ledger: Ledger,
  jobId: string,
  batch?: number,
  sign?: SignWork,
): Promise<'resumed' | 'not_paused' | 'unknown'> {
  const after = sign === undefined ? batch : (batch ?? (await presentBatch(ledger, jobId)))
  const signed = await signedOrder(sign, jobId, after === undefined ? undefined : { after_batch: after })
  const given = { jobId, batch: after ?? '', signed }
  const answer = await ask(ledger.redis, () => runScript(ledger, 'resume', given), jobId)
  const word = await releaseTickets(ledger, answer)
  return z.enum(['resumed', 'not_paused', 'unknown']).parse(word)
}

/** The batch that a job has reached, counted from 0. Undefined for a job without batches. */
async function presentBatch({ redis, keys }: Ledger, jobId: string): Promise<number | undefined> {
  const batch = await ask(redis, () => redis.hget(keys.job(jobId), 'batch'), jobId)
  return batch === null ? undefined : z.coerce.number().int().min(0).parse(batch)
}

/**
 * Changes how many runs of a job may be in flight; a percentage is of its frozen set. Never stops a run: when more are
 * in flight already, the next ones wait. `unknown`: there is no such job. `ended`: it has ended, and nothing was
 * changed.
 * @throws {MusterError} ledger_unavailable
 */
export async function setConcurrency(
  ledger: Ledger,
  jobId: string,
  concurrency: Concurrency,
  sign?: SignWork,
): Promise<'changed' | 'ended' | 'unknown'> {
  const { redis, keys } = ledger
  const total = await ask(redis, () => redis.llen(keys.hosts(jobId)), jobId)
  const signed = await signedOrder(sign, jobId, { concurrency })
  const given = { jobId, concurrency: concurrencyOf(concurrency, total), signed }
  const answer = await ask(redis, () => runScript(ledger, 'set-concurrency', given), jobId)
  const word = await releaseTickets(ledger, answer)
  return z.enum(['changed', 'ended', 'unknown']).parse(word)
}
