/**
 * The sweep: finds what fell between two steps because a process died, and what the clocks of a job have ended. A run
 * that waits without a ticket gets one. A run whose worker is dead, or does not know of it, is queued again when it had
 * not started, handed to another worker when it is durable, and else lost, because it may have run.
 *
 * One process at a time sweeps (sweep-turns.ts). Sweeping twice does no harm.
 */
import { z } from 'zod'
import { LEASE_MS, ledgerNowMs } from '../redis/ledger-time.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import type { Released } from '../tickets/ticket.ts'
import { issueTickets, releaseTickets, ticketId } from '../tickets/ticket-queue.ts'
import { claimsOfLease, nameOf } from '../workers/heartbeat.ts'

/** How long a run may wait before the sweep looks for its ticket, which may just be on its way. */
const TICKET_GRACE_MS = 10_000
/** Most runs of one job that one sweep looks at, so that no sweep takes long. */
const SWEEP_LIMIT = 1_000
/**
 * How long after the first look a worker without a lease is given up. When Redis itself was away, all leases have run
 * out, and the workers renew them as soon as they are connected again.
 */
const SUSPECT_MS = 3_000
const SUSPECT_KEPT_MS = 10 * 60_000
/** How long after its exec timeout a durable run may still be taken over by another worker. */
const TAKE_OVER_MS = 15 * 60_000

/** How long after the first look a claim that a lease still does not name counts as unknown to its worker. */
const CLAIM_NAMED_MS = 20_000

/** How patient a sweep is. Tests do not wait. */
type SweepOptions = {
  readonly ticketGraceMs: number
  readonly suspectMs: number
  readonly claimNamedMs: number
}
const PATIENT: SweepOptions = {
  ticketGraceMs: TICKET_GRACE_MS,
  suspectMs: SUSPECT_MS,
  claimNamedMs: CLAIM_NAMED_MS,
}

/**
 * Sweeps all jobs that have not ended, once.
 * @throws {AggregateError} after sweeping the others, when some jobs could not be swept
 */
export async function sweep(ledger: Ledger, options: SweepOptions = PATIENT): Promise<void> {
  const { redis, keys } = ledger
  const leases = new Map<string, StoredLease>()
  const faults: unknown[] = []
  await runScript(ledger, 'recount', { places: keys.workerPlaces })
  for (const jobId of await redis.smembers(keys.active)) {
    // A job that cannot be swept must not keep the others from being swept.
    await sweepJob(ledger, jobId, leases, options).catch((error: unknown) => faults.push(error))
  }
  if (faults.length > 0) throw new AggregateError(faults, `${faults.length} jobs could not be swept`)
}

async function sweepJob(
  ledger: Ledger,
  jobId: string,
  leases: Map<string, StoredLease>,
  options: SweepOptions,
): Promise<void> {
  await releaseTickets(ledger, await runScript(ledger, 'tend', { jobId }))
  await releaseTickets(ledger, await runScript(ledger, 'repair', { jobId }))
  const runs = await readOpenRuns(ledger, jobId)
  await settleAbandoned(ledger, jobId, runs, leases, options)
  await issueMissing(ledger, jobId, runs, options.ticketGraceMs)
}

type OpenRun = {
  index: number
  host: string
  attempt: number
  reissue: number
  state: string
  worker: string
  nonce: string
  /** Since when it waits for a worker. Undefined while a worker holds it. */
  waits: Wait | undefined
}

/** A worker, as its lease shows it. Without `claims` nobody knows which claims the worker knows. */
type StoredLease = { readonly isGone: boolean; readonly claims?: ReadonlySet<string> | undefined }

async function settleAbandoned(
  ledger: Ledger,
  jobId: string,
  runs: readonly OpenRun[],
  leases: Map<string, StoredLease>,
  options: SweepOptions,
): Promise<void> {
  for (const run of runs) {
    if (run.state !== 'connecting' && run.state !== 'running') continue
    const lease = leases.get(run.worker) ?? (await readLease(ledger, run.worker, options.suspectMs))
    leases.set(run.worker, lease)
    const claim = nameOf({ ...run, jobId })
    const isForgotten = lease.claims?.has(claim) === false && (await suspectedMs(ledger, claim)) >= options.claimNamedMs
    if (!lease.isGone && !isForgotten) continue
    const { index, worker } = run
    const unknownNonce = isForgotten ? run.nonce : ''
    const given = { jobId, index, worker, takeOverMs: TAKE_OVER_MS, unknownNonce }
    await releaseTickets(ledger, await runScript(ledger, 'abandon', given))
  }
}

/** Reads the lease of a worker, which is gone when the lease has run out and had run out some time ago. */
async function readLease(ledger: Ledger, worker: string, suspectMs: number): Promise<StoredLease> {
  const { redis, keys } = ledger
  // A durable run without a worker waits for one, and is given up at some time too.
  if (worker === '') return { isGone: true }
  const key = keys.worker(worker)
  const [lease, leftMs] = await Promise.all([redis.get(key), redis.pttl(key)])
  if (lease === null) return { isGone: (await suspectedMs(ledger, worker)) >= suspectMs }
  // Redis' clock was set back. Without this, the lease of a dead worker would last that much longer.
  if (leftMs > LEASE_MS) await redis.pexpire(key, LEASE_MS)
  return { isGone: false, claims: claimsOfLease(lease) }
}

/** How long something has been suspected, in milliseconds: 0 at the first look. */
async function suspectedMs(ledger: Ledger, name: string): Promise<number> {
  const given = { suspicion: ledger.keys.suspect(name), keptMs: SUSPECT_KEPT_MS }
  return z.number().parse(await runScript(ledger, 'suspect', given))
}

async function issueMissing(ledger: Ledger, jobId: string, runs: readonly OpenRun[], graceMs: number): Promise<void> {
  const nowMs = await ledgerNowMs(ledger)
  const waiting = runs.filter(({ waits }) => waits !== undefined && waitedMs(waits, nowMs) >= graceMs)
  if (waiting.length === 0) return
  const title = (await ledger.redis.hget(ledger.keys.job(jobId), 'title')) ?? ''
  const missing = await Promise.all(
    waiting.map(({ index, host, attempt, reissue }) =>
      withoutTicket(ledger, { jobId, title, index, host, attempt, reissue }),
    ),
  )
  await issueTickets(ledger.tickets, missing.flat())
}

/** Since when a run waits for a worker, by Redis' clock. `isPlanned`: it is to wait until then. */
type Wait = { readonly sinceMs: number; readonly isPlanned: boolean }

/**
 * How long a run has waited. A wait that began in the future began before the clock was set back: its ticket is looked
 * for.
 */
function waitedMs({ sinceMs, isPlanned }: Wait, nowMs: number): number {
  return sinceMs > nowMs && !isPlanned ? Number.POSITIVE_INFINITY : nowMs - sinceMs
}

async function readOpenRuns({ redis, keys }: Ledger, jobId: string): Promise<OpenRun[]> {
  const indexes = (await redis.srandmember(keys.open(jobId), SWEEP_LIMIT)).map(Number)
  const fields = [
    'host',
    'attempt',
    'reissue',
    'state',
    'worker',
    'queued',
    'retry_at',
    'nonce',
    'waits',
    'due',
  ] as const
  return await Promise.all(
    indexes.map(async (index) => {
      const values = await redis.hmget(keys.run(jobId, index), ...fields)
      const [host, attempt, reissue, state, worker, queued, retryAt, nonce, waits, due] = values.map(
        (value) => value ?? '',
      )
      const isHeld = state !== 'queued' && state !== 'retry_wait' && (state !== 'running' || worker !== '')
      const planned = state === 'retry_wait' ? retryAt : due
      const wait = { sinceMs: Number(waits || planned || queued), isPlanned: !waits && planned !== '' }
      return {
        index,
        host: host ?? '',
        attempt: Number(attempt),
        reissue: Number(reissue),
        state: state ?? '',
        worker: worker ?? '',
        nonce: nonce ?? '',
        waits: isHeld ? undefined : wait,
      }
    }),
  )
}

/** The states of a ticket that no worker will get any more. */
const OVER: ReadonlySet<string> = new Set(['completed', 'failed', 'unknown'])

/** The run, if a ticket for it may be issued now; nothing while a ticket is on its way to a worker. */
async function withoutTicket({ tickets }: Ledger, run: Released): Promise<Released[]> {
  for (const isAgain of [false, true]) {
    const ticket = await tickets.getJob(ticketId({ ...run, job_id: run.jobId, isAgain }))
    const state = ticket === undefined ? 'none' : await ticket.getState()
    // A ticket that is over is removed, to free its ID.
    if (OVER.has(state)) await ticket?.remove()
    if (ticket === undefined || OVER.has(state)) return [{ ...run, isAgain }]
    // An older Muster issued it with a delay.
    if (state === 'delayed') await ticket.promote()
    // A worker that took a ticket claims the run at once, or has died. BullMQ finds out by Redis' clock, which may have
    // been set back; so another ticket is issued beside it.
    if (state !== 'active') return []
  }
  return []
}
