/**
 * The sweep: finds what fell between two steps because a process died there. A run that waits without a ticket gets
 * one; a run whose worker is dead is queued again (it had not started) or lost (it may have run).
 *
 * BullMQ's scheduler sees to it that one process at a time sweeps. Sweeping twice does no harm.
 */
import { Queue, Worker } from 'bullmq'
import type { Ledger } from './open-ledger.ts'
import { parseReleased, runScript } from './scripts.ts'
import { issueTickets, ticketId } from './ticket.ts'

const SWEEP_QUEUE = 'sweep'
const SWEEP_EVERY_MS = 5_000
/** A run that waited longer than this is asked about; a ticket on its way is not. */
const TICKET_GRACE_MS = 10_000
/** Most runs of one job looked at in one sweep, so that no sweep is long. */
const SWEEP_LIMIT = 1_000

/** Starts sweeping every 5 s, in turn with all other processes that do. */
export async function startSweep(ledger: Ledger, onError: (error: Error) => void): Promise<{ stop(): Promise<void> }> {
  const connection = ledger.connectBlocking()
  const queue = new Queue(SWEEP_QUEUE, { connection: ledger.redis, prefix: ledger.keys.base })
  queue.on('error', onError)
  await queue.upsertJobScheduler(
    SWEEP_QUEUE,
    { every: SWEEP_EVERY_MS },
    { name: SWEEP_QUEUE, opts: { removeOnComplete: true, removeOnFail: 10 } },
  )
  const worker = new Worker(SWEEP_QUEUE, () => sweep(ledger), {
    connection,
    prefix: ledger.keys.base,
    maxStalledCount: 100,
  })
  worker.on('error', onError)
  worker.on('failed', (_job, error) => onError(error))
  return {
    stop: async () => {
      await worker.close(true)
      await queue.close()
      connection.disconnect()
    },
  }
}

/** One sweep over all jobs that have not ended. */
export async function sweep(ledger: Ledger, ticketGraceMs = TICKET_GRACE_MS): Promise<void> {
  for (const jobId of await ledger.redis.smembers(ledger.keys.active)) await sweepJob(ledger, jobId, ticketGraceMs)
}

type OpenRun = { index: number; host: string; attempt: number; state: string; worker: string; queuedAtMs: number }

async function sweepJob(ledger: Ledger, jobId: string, ticketGraceMs: number): Promise<void> {
  const { redis, keys } = ledger
  const indexes = (await redis.srandmember(keys.open(jobId), SWEEP_LIMIT)).map(Number)
  const runs = await Promise.all(indexes.map((index) => readOpenRun(ledger, jobId, index)))
  const [seconds, micros] = await redis.time()
  const longAgoMs = Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000) - ticketGraceMs

  const waiting = runs.filter((run) => run.state === 'queued' && run.queuedAtMs <= longAgoMs)
  const missing: OpenRun[] = []
  for (const run of waiting) if (await hasNoTicket(ledger, jobId, run)) missing.push(run)

  const alive = new Map<string, boolean>()
  for (const run of runs.filter(({ state }) => state === 'connecting' || state === 'running')) {
    const isAlive = alive.get(run.worker) ?? (await redis.exists(keys.worker(run.worker))) === 1
    alive.set(run.worker, isAlive)
    if (isAlive) continue
    const answer = await runScript(redis, 'abandon', [keys.job(jobId)], [keys.base, jobId, run.index])
    for (const released of parseReleased(answer).released) missing.push({ ...run, ...released })
  }
  if (missing.length === 0) return
  const title = await redis.hget(keys.job(jobId), 'title')
  await issueTickets(ledger.tickets, jobId, title ?? '', missing)
}

async function readOpenRun(ledger: Ledger, jobId: string, index: number): Promise<OpenRun> {
  const [host, attempt, state, worker, queued] = await ledger.redis.hmget(
    ledger.keys.run(jobId, index),
    'host',
    'attempt',
    'state',
    'worker',
    'queued',
  )
  return {
    index,
    host: host ?? '',
    attempt: Number(attempt),
    state: state ?? '',
    worker: worker ?? '',
    queuedAtMs: Number(queued),
  }
}

/** Whether no ticket will ever reach a worker. One that is over is removed, so that its ID is free again. */
async function hasNoTicket(ledger: Ledger, jobId: string, run: OpenRun): Promise<boolean> {
  const ticket = await ledger.tickets.getJob(ticketId({ job_id: jobId, index: run.index, attempt: run.attempt }))
  if (ticket === undefined) return true
  const state = await ticket.getState()
  if (state !== 'completed' && state !== 'failed') return false
  await ticket.remove()
  return true
}
