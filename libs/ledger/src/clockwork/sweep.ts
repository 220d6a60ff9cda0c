/**
 * The sweep: finds what fell between two steps because a process died there, and what the clocks of a job have ended.
 * A run that waits without a ticket gets one; a run whose worker is dead, or knows nothing of it, is queued again (it had
 * not started), handed to another worker (durable) or lost (it may have run).
 *
 * One process at a time sweeps (sweep-turns.ts). Sweeping twice does no harm.
 */
import { z } from 'zod'
import { LEASE_MS, ledgerNowMs } from '../redis/ledger-time.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { releaseTickets } from '../tickets/release-tickets.ts'
import type { Released } from '../tickets/released.ts'
import { issueTickets, ticketId } from '../tickets/ticket.ts'
import { claimsOfLease, nameOf } from '../workers/heartbeat.ts'

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
const TAKE_OVER_MS = 15 * 60_000

/** A claim that a lease did not name, and so much later does not name either, is one that its worker does not know. */
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

/** One sweep over all jobs that have not ended. */
export async function sweep(ledger: Ledger, options: SweepOptions = PATIENT): Promise<void> {
  const { redis, keys } = ledger
  const leases = new Map<string, Lease>()
  const faults: unknown[] = []
  await runScript(ledger, 'recount', { slots: keys.slots })
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
  resume: number
  state: string
  worker: string
  nonce: string
  /** Undefined while a worker holds it. */
  waits: Wait | undefined
}

/** A worker as its lease shows it. Without `claims` it is not known which it knows. */
type Lease = { readonly isGone: boolean; readonly claims?: ReadonlySet<string> | undefined }

async function settleAbandoned(
  ledger: Ledger,
  jobId: string,
  runs: readonly OpenRun[],
  leases: Map<string, Lease>,
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

/** Whether the lease of a worker has run out, and had already some time ago; and which claims it names. */
async function readLease(ledger: Ledger, worker: string, suspectMs: number): Promise<Lease> {
  const { redis, keys } = ledger
  // Without a worker it is a durable run that waits for one; it too is given up at some time.
  if (worker === '') return { isGone: true }
  const key = keys.worker(worker)
  const [lease, leftMs] = await Promise.all([redis.get(key), redis.pttl(key)])
  if (lease === null) return { isGone: (await suspectedMs(ledger, worker)) >= suspectMs }
  // Redis' clock was set back: the lease of a dead worker would last for as long.
  if (leftMs > LEASE_MS) await redis.pexpire(key, LEASE_MS)
  return { isGone: false, claims: claimsOfLease(lease) }
}

/** For how long this has been suspected: 0 at the first look. */
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
    waiting.map(({ index, host, attempt, resume }) =>
      withoutTicket(ledger, { jobId, title, index, host, attempt, resume }),
    ),
  )
  await issueTickets(ledger.tickets, missing.flat())
}

/** Since when a run waits for a worker, by Redis' clock; `planned`: it is to wait until then. */
type Wait = { readonly sinceMs: number; readonly isPlanned: boolean }

/** For how long it has waited. What began in the future began before the clock was set back: long enough ago to look. */
function waitedMs({ sinceMs, isPlanned }: Wait, nowMs: number): number {
  return sinceMs > nowMs && !isPlanned ? Number.POSITIVE_INFINITY : nowMs - sinceMs
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
    'waits',
    'due',
  ] as const
  return await Promise.all(
    indexes.map(async (index) => {
      const values = await redis.hmget(keys.run(jobId, index), ...fields)
      const [host, attempt, resume, state, worker, queued, retryAt, nonce, waits, due] = values.map(
        (value) => value ?? '',
      )
      const isHeld = state !== 'queued' && state !== 'retry_wait' && (state !== 'running' || worker !== '')
      const planned = state === 'retry_wait' ? retryAt : due
      const wait = { sinceMs: Number(waits || planned || queued), isPlanned: !waits && planned !== '' }
      return {
        index,
        host: host ?? '',
        attempt: Number(attempt),
        resume: Number(resume),
        state: state ?? '',
        worker: worker ?? '',
        nonce: nonce ?? '',
        waits: isHeld ? undefined : wait,
      }
    }),
  )
}

/** States of a ticket that no worker will get any more. */
const OVER: ReadonlySet<string> = new Set(['completed', 'failed', 'unknown'])

/** The run, as a ticket for it may be issued now; nothing while one is on its way to a worker. */
async function withoutTicket({ tickets }: Ledger, run: Released): Promise<Released[]> {
  for (const isAgain of [false, true]) {
    const ticket = await tickets.getJob(ticketId({ ...run, job_id: run.jobId, isAgain }))
    const state = ticket === undefined ? 'none' : await ticket.getState()
    // One that is over is removed, so that its ID is free again.
    if (OVER.has(state)) await ticket?.remove()
    if (ticket === undefined || OVER.has(state)) return [{ ...run, isAgain }]
    // An older Muster issued it, to be delivered by the clock of whoever fetches it.
    if (state === 'delayed') await ticket.promote()
    // A worker that takes a ticket claims the run at once, or has died. BullMQ finds that out by Redis' clock, which may
    // have been set back; so another one is issued beside it.
    if (state !== 'active') return []
  }
  return []
}
