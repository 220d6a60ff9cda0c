/**
 * Tells a worker what happens to the jobs whose runs it holds: a run is to stop, or its exec timeout was raised. A
 * message tells it at once; it also looks every few seconds, because a message is lost while the connection is down.
 */
import { z } from 'zod'
import type { Ledger } from '../redis/open-ledger.ts'

/** How often it looks at the jobs that it watches. */
const LOOK_EVERY_MS = 3_000

const LedgerStop = z.enum(['cancelled_by_user', 'job_timeout', 'error_budget'])
/** Why a run is to stop. */
export type LedgerStop = z.infer<typeof LedgerStop>

/** What a worker hears about a run. */
type RunOrders = {
  /** The run is to stop. Called at every look from then on. */
  onStop(reason: LedgerStop): void
  /** The present exec timeout of the job. Called at every look, even when it did not change. */
  onExecTimeout(execTimeoutMs: number): void
}

/** Watches the runs of a worker. */
export type JobWatch = {
  /** Reports on a run until the returned function is called. */
  watch(jobId: string, index: number, orders: RunOrders): () => void
  stop(): void
}

/** Starts watching. `onError` hears of a look that fails; the next one is made all the same. */
export async function watchJobs(ledger: Ledger, onError: (error: unknown) => void): Promise<JobWatch> {
  const { redis, keys } = ledger
  const watched = new Map<string, Map<RunOrders, number>>()

  const look = async (jobId: string) => {
    const runs = [...(watched.get(jobId) ?? [])]
    if (runs.length === 0) return
    const [[stop, execTimeoutMs, onBudget], runStops] = await Promise.all([
      redis.hmget(keys.job(jobId), 'stop', 'exec_timeout_ms', 'on_budget'),
      Promise.all(runs.map(([, index]) => redis.hget(keys.run(jobId, index), 'stop'))),
    ])
    // A spent error budget stops what runs only if the job says so.
    const jobStop = stop === 'error_budget' && onBudget !== 'cancel' ? null : stop
    runs.forEach(([orders], i) => {
      const reason = LedgerStop.safeParse(jobStop ?? runStops[i])
      if (reason.success) orders.onStop(reason.data)
      if (execTimeoutMs != null) orders.onExecTimeout(Number(execTimeoutMs))
    })
  }
  const lookAtAll = async () => {
    await Promise.all([...watched.keys()].map(look))
  }

  const listener = ledger.listener()
  const onMessage = (channel: string, jobId: string) => {
    if (channel === keys.orders) look(jobId).catch(onError)
  }
  listener.on('message', onMessage)
  await listener.subscribe(keys.orders)
  const timer = setInterval(() => {
    lookAtAll().catch(onError)
  }, LOOK_EVERY_MS)

  return {
    watch: (jobId, index, orders) => {
      const runs = watched.get(jobId) ?? new Map<RunOrders, number>()
      watched.set(jobId, runs.set(orders, index))
      return () => {
        runs.delete(orders)
        if (runs.size === 0 && watched.get(jobId) === runs) watched.delete(jobId)
      }
    },
    stop: () => {
      clearInterval(timer)
      listener.off('message', onMessage)
    },
  }
}
