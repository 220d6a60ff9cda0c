/**
 * The lease of a worker: a key with a time to live, renewed by heartbeats. While it lives, nobody else touches the runs
 * of the worker; when it has run out, the sweep settles them (abandon.lua).
 *
 * A worker has one lease for all its runs. Redis' clock lets it run out; the worker's own clock only tells how long ago
 * the worker certainly had it. The lease names the claims that the worker knows. So the sweep also finds and settles a
 * run that Redis thinks is this worker's and the worker does not know: Redis forgot its end, or a fault of ours dropped
 * it.
 */
import { z } from 'zod'
import { LEASE_MS } from '../redis/ledger-time.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import type { Claim } from '../steps/claim.ts'

/** Three renewals in a row may fail before the lease runs out. */
const RENEW_EVERY_MS = 3_000

/** The lease of a worker, which is being renewed. */
export type WorkerLease = {
  /** Stops renewing the lease, and gives it up. */
  stop(): Promise<void>
}

/** What a lease names, and what to call when it fails. */
type LeaseOptions = {
  /** Called when a renewal fails; the next one is tried all the same. */
  readonly onError: (error: unknown) => void
  /** Called when the lease had run out and was taken again: other workers may have taken runs over meanwhile. */
  readonly onLapse: () => void
  /** The claims the worker holds now. */
  readonly claims: () => readonly Claim[]
  /** How many runs the worker takes at once. */
  readonly places: number
}

/** Takes the lease of a worker, and renews it until `stop` is called. */
export async function startHeartbeat(ledger: Ledger, workerId: string, options: LeaseOptions): Promise<WorkerLease> {
  const { redis, keys } = ledger
  const key = keys.worker(workerId)
  const renew = async () => {
    const known = JSON.stringify(options.claims().map(nameOf))
    const renewed = { lease: key, suspicion: keys.suspect(workerId), places: keys.workerPlaces }
    const given = { ...renewed, claims: known, leaseMs: LEASE_MS, worker: workerId, placeCount: options.places }
    return (await runScript(ledger, 'heartbeat', given)) === 1
  }
  await renew()
  await recount(ledger)
  const timer = setInterval(() => {
    renew().then((wasHeld) => {
      if (!wasHeld) options.onLapse()
    }, options.onError)
  }, RENEW_EVERY_MS)
  return {
    stop: async () => {
      clearInterval(timer)
      await redis.del(key)
      await recount(ledger)
    },
  }
}

/** Recounts how many runs all workers take together. */
async function recount(ledger: Ledger): Promise<void> {
  await runScript(ledger, 'recount', { places: ledger.keys.workerPlaces })
}

/** The names of claims, which end in a nonce. An older Muster writes epochs there, which say nothing. */
const Known = z.array(z.string().regex(/:[\w-]{8}$/))

/** The names of the claims in a lease. Undefined when the lease does not name them in our form. */
export function claimsOfLease(lease: string): ReadonlySet<string> | undefined {
  try {
    return new Set(Known.parse(JSON.parse(lease)))
  } catch {
    return undefined
  }
}

/**
 * The name of a claim in a lease. It has the nonce, because two claims share an epoch when Redis forgot one of them.
 */
export function nameOf({ jobId, index, nonce }: Pick<Claim, 'jobId' | 'index' | 'nonce'>): string {
  return `${jobId}:${index}:${nonce}`
}
