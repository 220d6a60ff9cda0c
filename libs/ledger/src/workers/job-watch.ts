/**
 * Tells a worker what it must know of the jobs whose runs it holds: that a run is to stop, or that its limit was raised.
 * At once by a message, and every few seconds by a look, because a message sent while the connection was down is gone.
 */
import { z } from 'zod'
import type { Ledger } from '../redis/open-ledger.ts'

/** How often the jobs at hand are looked at. */
const LOOK_EVERY_MS = 3_000

/** Why a run is to stop. */
const StopReason = z.enum(['cancelled_by_user', 'job_timeout', 'error_budget'])
export type StopReason = z.infer<typeof StopReason>

/** What a worker wants to hear of a run. */
export type RunOrders = {
  /** The run is to stop. May be called more than once. */
  onStop(reason: StopReason): void
  /** The present exec timeout of the job. Called at every look, also when it did not change. */
  onExecTimeout(execTimeoutMs: number): void
}

/** Watches runs. */
export type JobWatch = {
  /** Reports until the returned function is called. */
  watch(jobId: string, index: number, orders: RunOrders): () => void
  stop(): void
}

/** Starts watching. `onError` is told when a look fails; the next one is made all the same. */
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
    // A budget that is spent ends what runs only where the job says so.
    const jobStop = stop === 'error_budget' && onBudget !== 'cancel' ? null : stop
    runs.forEach(([orders], i) => {
      const reason = StopReason.safeParse(jobStop ?? runStops[i])
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
