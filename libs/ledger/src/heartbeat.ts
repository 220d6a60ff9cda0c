/**
 * The lease of a worker: a key with a time to live, renewed by heartbeat. While it lives, the runs the worker holds
 * are left alone; when it has run out, the sweep settles them (abandon.lua).
 *
 * One lease for all runs of a worker: its cost does not grow with them.
 */
import type { Ledger } from './open-ledger.ts'

/** How long a lease lasts after its last renewal: a dead worker is noticed this much later, plus one sweep. */
const LEASE_MS = 15_000
/** Three renewals may fail before the lease runs out. */
const RENEW_EVERY_MS = 4_000

/**
 * Takes the lease, and renews it until `stop` is called, which gives it up.
 * `onError` is told when a renewal fails; the next one is tried all the same.
 */
export async function startHeartbeat(
  ledger: Ledger,
  workerId: string,
  onError: (error: unknown) => void,
): Promise<{ stop(): Promise<void> }> {
  const key = ledger.keys.worker(workerId)
  const renew = () => ledger.redis.set(key, Date.now(), 'PX', LEASE_MS)
  await renew()
  const timer = setInterval(() => {
    renew().catch(onError)
  }, RENEW_EVERY_MS)
  return {
    stop: async () => {
      clearInterval(timer)
      await ledger.redis.del(key)
    },
  }
}
