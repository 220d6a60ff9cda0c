/**
 * The lease of a worker: a key with a time to live, renewed by heartbeat. While it lives, the runs the worker holds
 * are left alone; when it has run out, the sweep settles them (abandon.lua).
 *
 * One lease for all runs of a worker. It is Redis' clock that lets it run out; the worker's own only ever says "this
 * long ago I certainly had it". The lease names the claims the worker knows: a run that Redis takes for this worker's
 * and the worker does not (Redis forgot its end, a fault of ours dropped it) is found by the sweep and settled too.
 */
import { z } from 'zod'
import { LEASE_MS } from '../redis/ledger-time.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import type { Claim } from '../steps/claim.ts'

/** Three renewals may fail before the lease runs out. */
const RENEW_EVERY_MS = 3_000

/** A lease that is being renewed. */
export type Lease = {
  /** Gives it up. */
  stop(): Promise<void>
}

/** Who wants to know about a lease. */
export type LeaseOptions = {
  /** Told when a renewal fails; the next one is tried all the same. */
  readonly onError: (error: unknown) => void
  /** It had run out and was taken anew: what the worker holds may have been given to others meanwhile. */
  readonly onLapse: () => void
  /** The claims the worker holds now. */
  readonly claims: () => readonly Claim[]
  /** How many runs the worker takes at once. */
  readonly slots: number
}

/** Takes the lease, and renews it until `stop` is called. */
export async function startHeartbeat(ledger: Ledger, workerId: string, options: LeaseOptions): Promise<Lease> {
  const { redis, keys } = ledger
  const key = keys.worker(workerId)
  const renew = async () => {
    const known = JSON.stringify(options.claims().map(nameOf))
    const renewed = { lease: key, suspicion: keys.suspect(workerId), slots: keys.slots }
    const given = { ...renewed, claims: known, leaseMs: LEASE_MS, worker: workerId, slotCount: options.slots }
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

/** What all workers take together has changed. */
async function recount(ledger: Ledger): Promise<void> {
  await runScript(ledger, 'recount', { slots: ledger.keys.slots })
}

/** An older Muster names claims by their epoch: then nothing is known of them. */
const Known = z.array(z.string().regex(/:[\w-]{8}$/))

/** What a lease names. Undefined when there is no lease; without claims where it names none in our form. */
export function claimsOfLease(lease: string | null): ReadonlySet<string> | undefined {
  if (lease === null) return undefined
  try {
    return new Set(Known.parse(JSON.parse(lease)))
  } catch {
    return undefined
  }
}

/** How a claim is named in a lease: by its nonce, as two claims may have one epoch where Redis forgot one of them. */
export function nameOf({ jobId, index, nonce }: Pick<Claim, 'jobId' | 'index' | 'nonce'>): string {
  return `${jobId}:${index}:${nonce}`
}
