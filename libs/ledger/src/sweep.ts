/**
 * The sweep: finds what fell between two steps because a process died there, and what the clocks of a job have ended.
 * A run that waits without a ticket gets one; a run whose worker is dead, or knows nothing of it, is queued again (it had
 * not started), handed to another worker (durable) or lost (it may have run).
 *
 * BullMQ's scheduler sees to it that one process at a time sweeps. Sweeping twice does no harm.
 */
import { Queue, Worker } from 'bullmq'
import { claimsOfLease, nameOf } from './heartbeat.ts'
import type { Ledger } from './open-ledger.ts'
import { releaseTickets } from './release-tickets.ts'
import { runScript } from './scripts.ts'
import { issueTickets, ticketId } from './ticket.ts'

const SWEEP_QUEUE = 'sweep'
const SWEEP_EVERY_MS = 5_000
/** A run that waited longer than this is asked about; a ticket on its way is not. */
const TICKET_GRACE_MS = 10_000
/** Most runs of one job looked at in one sweep, so that no sweep is long. */
const SWEEP_LIMIT = 1_000
/**
 * A worker without its lease is given up at the second look, so long after the first: when Redis itself was away, all
 * leases have run out, and the workers renew them as soon as they are connected again.
 */
const SUSPECT_MS = 3_000
const SUSPECT_KEPT_MS = 10 * 60_000
/** How long the result of a durable run is waited for after the time its command may take. */
const RESUME_LIMIT_MS = 15 * 60_000

/** A claim this old stands in every lease of its worker that is still there: leases last 12 s. */
const CLAIM_NAMED_MS = 20_000

/** How patient a sweep is; for tests, which do not wait. */
export type SweepOptions = {
  readonly ticketGraceMs: number
  readonly suspectMs: number
  readonly claimNamedMs: number
}
const PATIENT: SweepOptions = {
  ticketGraceMs: TICKET_GRACE_MS,
  suspectMs: SUSPECT_MS,
  claimNamedMs: CLAIM_NAMED_MS,
}

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
export async function sweep(ledger: Ledger, options: SweepOptions = PATIENT): Promise<void> {
  const { redis, keys } = ledger
  const leases = new Map<string, Lease>()
  const faults: unknown[] = []
  await runScript(redis, 'recount', [keys.slots], [keys.base, ''])
  for (const jobId of await redis.smembers(keys.active)) {
    // One job that cannot be swept must not keep the others from it.
    await sweepJob(ledger, jobId, leases, options).catch((error: unknown) => faults.push(error))
  }
  if (faults.length > 0) throw new AggregateError(faults, `${faults.length} jobs could not be swept`)
}

async function sweepJob(
  ledger: Ledger,
  jobId: string,
  leases: Map<string, Lease>,
  options: SweepOptions,
): Promise<void> {
  const { redis, keys } = ledger
  await releaseTickets(ledger, await runScript(redis, 'tend', [keys.job(jobId)], [keys.base, jobId]))
  const runs = await readOpenRuns(ledger, jobId)
  await settleAbandoned(ledger, jobId, runs, leases, options)
  await issueMissing(ledger, jobId, runs, options.ticketGraceMs)
}

type OpenRun = {
  index: number
  host: string
  attempt: number
  resume: number
  state: string
  worker: string
  nonce: string
  claimedMs: number
  /** Since when it waits for a worker; undefined while one holds it. */
  waitsSinceMs: number | undefined
}

/** A worker as its lease shows it. Without `claims` it is not known which it knows. */
type Lease = { readonly isGone: boolean; readonly claims?: ReadonlySet<string> | undefined; readonly nowMs: number }

async function settleAbandoned(
  ledger: Ledger,
  jobId: string,
  runs: readonly OpenRun[],
  leases: Map<string, Lease>,
  options: SweepOptions,
): Promise<void> {
  const { redis, keys } = ledger
  for (const run of runs) {
    if (run.state !== 'connecting' && run.state !== 'running') continue
    const lease = leases.get(run.worker) ?? (await readLease(ledger, run.worker, options.suspectMs))
    leases.set(run.worker, lease)
    const isForgotten =
      lease.claims?.has(nameOf({ ...run, jobId })) === false && lease.nowMs - run.claimedMs >= options.claimNamedMs
    if (!lease.isGone && !isForgotten) continue
    const unknownNonce = isForgotten ? run.nonce : ''
    const args = [keys.base, jobId, run.index, run.worker, RESUME_LIMIT_MS, unknownNonce]
    await releaseTickets(ledger, await runScript(redis, 'abandon', [keys.job(jobId)], args))
  }
}

/** Whether the lease of a worker has run out, and had already some time ago; and which claims it names. */
async function readLease(ledger: Ledger, worker: string, suspectMs: number): Promise<Lease> {
  const { redis, keys } = ledger
  const nowMs = await redisNowMs(ledger)
  // Without a worker it is a durable run that waits for one; it too is given up at some time.
  if (worker === '') return { isGone: true, nowMs }
  const lease = await redis.get(keys.worker(worker))
  if (lease !== null) return { isGone: false, claims: claimsOfLease(lease), nowMs }
  await redis.set(keys.suspect(worker), nowMs, 'PX', SUSPECT_KEPT_MS, 'NX')
  const since = await redis.get(keys.suspect(worker))
  return { isGone: nowMs - Number(since ?? nowMs) >= suspectMs, nowMs }
}

async function issueMissing(ledger: Ledger, jobId: string, runs: readonly OpenRun[], graceMs: number): Promise<void> {
  const longAgoMs = (await redisNowMs(ledger)) - graceMs
  const waiting = runs.filter(({ waitsSinceMs }) => waitsSinceMs !== undefined && waitsSinceMs <= longAgoMs)
  const areMissing = await Promise.all(waiting.map((run) => hasNoTicket(ledger, jobId, run)))
  const missing = waiting.filter((_, i) => areMissing[i])
  if (missing.length === 0) return
  const title = await ledger.redis.hget(ledger.keys.job(jobId), 'title')
  const facts = { jobId, title: title ?? '', delayMs: 0 }
  const released = missing.map(({ index, host, attempt, resume }) => ({ ...facts, index, host, attempt, resume }))
  await issueTickets(ledger.tickets, released)
}

async function redisNowMs({ redis }: Ledger): Promise<number> {
  const [seconds, micros] = await redis.time()
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
}

async function readOpenRuns({ redis, keys }: Ledger, jobId: string): Promise<OpenRun[]> {
  const indexes = (await redis.srandmember(keys.open(jobId), SWEEP_LIMIT)).map(Number)
  const fields = [
    'host',
    'attempt',
    'resume',
    'state',
    'worker',
    'queued',
    'retry_at',
    'nonce',
    'claimed',
    'waits',
  ] as const
  return await Promise.all(
    indexes.map(async (index) => {
      const values = await redis.hmget(keys.run(jobId, index), ...fields)
      const [host, attempt, resume, state, worker, queued, retryAt, nonce, claimed, waits, due] = values.map(
        (value) => value ?? '',
      )
      const isUnheld = state === 'running' && worker === ''
      const since = state === 'retry_wait' ? retryAt : state === 'queued' || isUnheld ? queued : undefined
      const waitsSince = waits || due || since
      return {
        index,
        host: host ?? '',
        attempt: Number(attempt),
        resume: Number(resume),
        state: state ?? '',
        worker: worker ?? '',
        nonce: nonce ?? '',
        claimedMs: Number(claimed),
        waitsSinceMs: since === undefined ? undefined : Number(waitsSince),
      }
    }),
  )
}

/** Whether no ticket will ever reach a worker. One that is over is removed, so that its ID is free again. */
async function hasNoTicket(ledger: Ledger, jobId: string, run: OpenRun): Promise<boolean> {
  const ticket = await ledger.tickets.getJob(ticketId({ ...run, job_id: jobId }))
  if (ticket === undefined) return true
  const state = await ticket.getState()
  if (state !== 'completed' && state !== 'failed' && state !== 'unknown') return false
  await ticket.remove()
  return true
}
