/**
 * Tells a worker which of the jobs it works on were cancelled: at once by a message, and every few seconds by a look,
 * because a message sent while the connection was down is gone.
 */
import type { Ledger } from './open-ledger.ts'

/** How often the jobs at hand are looked at. */
const LOOK_EVERY_MS = 3_000

/** Watches jobs. */
export type CancelWatch = {
  /** Calls `onCancel` once when the job is cancelled, until the returned function is called. */
  watch(jobId: string, onCancel: () => void): () => void
  stop(): void
}

/** Starts watching. `onError` is told when a look fails; the next one is made all the same. */
export async function watchCancels(ledger: Ledger, onError: (error: unknown) => void): Promise<CancelWatch> {
  const watchers = new Map<string, Set<() => void>>()
  const tell = (jobId: string) => {
    const told = watchers.get(jobId) ?? []
    watchers.delete(jobId)
    for (const onCancel of told) onCancel()
  }
  const listener = ledger.listener()
  const onMessage = (channel: string, jobId: string) => {
    if (channel === ledger.keys.cancelled) tell(jobId)
  }
  listener.on('message', onMessage)
  await listener.subscribe(ledger.keys.cancelled)

  const look = async () => {
    const jobIds = [...watchers.keys()]
    const states = await Promise.all(jobIds.map((jobId) => ledger.redis.hget(ledger.keys.job(jobId), 'state')))
    jobIds.forEach((jobId, i) => {
      if (states[i] === 'cancelling') tell(jobId)
    })
  }
  const timer = setInterval(() => {
    look().catch(onError)
  }, LOOK_EVERY_MS)

  return {
    watch: (jobId, onCancel) => {
      const told = watchers.get(jobId) ?? new Set()
      watchers.set(jobId, told.add(onCancel))
      return () => {
        told.delete(onCancel)
        if (told.size === 0 && watchers.get(jobId) === told) watchers.delete(jobId)
      }
    },
    stop: () => {
      clearInterval(timer)
      listener.off('message', onMessage)
    },
  }
}
