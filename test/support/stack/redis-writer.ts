/** Somebody who can write to the Redis of a Muster, and has none of its keys: what they do, and what came of it. */
import type { JobReport, Request } from '@muster/contract'
import { type Ledger, openLedger } from '@muster/ledger'
import { onTestFinished } from 'vitest'
import { issueTickets } from '../../../libs/ledger/src/tickets/ticket-queue.ts'
import { runOf } from './secret-stack.ts'
import type { Stack } from './stack.ts'
import { witnessFile } from './witness.ts'

/** The ledger of a stack, without any signing. */
export async function ledgerOf({ env }: Stack): Promise<Ledger> {
  const ledger = await openLedger({
    redisUrl: env.REDIS_URL ?? '',
    prefix: env.MUSTER_PREFIX ?? '',
    role: 'server',
    onError: () => {},
  })
  onTestFinished(() => ledger.close())
  return ledger
}

/** Puts a run back as if it had never started, and a ticket for it into the queue. */
export async function pushAgain(ledger: Ledger, jobId: string, index: number, host: string, attempt = 1) {
  const { redis, keys } = ledger
  const run = { state: 'queued', remote: 'not_started', host, attempt, epoch: 0, queued: Date.now() }
  await redis.del(keys.run(jobId, index))
  await redis.hset(keys.run(jobId, index), run)
  await redis.sadd(keys.open(jobId), index)
  const ticket = { jobId, title: 'again', index, host, attempt, reissue: 7 + attempt }
  await redis.hset(keys.run(jobId, index), 'reissue', ticket.reissue)
  await issueTickets(ledger.tickets, [ticket])
}

/** Submits a command that leaves a line per run, and then does what `more` says. */
export async function submitMarked(stack: Stack, request: Partial<Request<'submit_job'>> = {}, more = '') {
  const { path, lines } = await witnessFile()
  const command = `echo ran >> ${path}${more}`
  const { job_id: jobId } = await stack.submit({ targets: 'h1', command, ...request })
  /** How often it ran. */
  const ranCount = async () => (await lines()).length
  return { jobId, path, ranCount }
}

/** Starts a worker, and tells how the job and its run on a host have ended. */
export async function endOf(stack: Stack, jobId: string, host = 'h1'): Promise<{ job: JobReport; run: unknown }> {
  if (stack.workers.length === 0) await stack.startWorker()
  const job = await stack.ended(jobId)
  return { job, run: await runOf(stack, jobId, host) }
}

/** A run that was not started because something does not fit what was signed. */
export function refusedRun(detail: unknown) {
  return { state: 'skipped', reason: 'signature_invalid', remote: 'not_started', exit_code: null, detail }
}
