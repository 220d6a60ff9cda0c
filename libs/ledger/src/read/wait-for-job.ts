/** Waits until a job changes or ends. Messages wake the wait; it also looks every 2 s, in case one was lost. */
import { setMaxListeners } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { isTerminalJob, JobState } from '@muster/contract'
import { ask, type Ledger } from '../redis/open-ledger.ts'

/** How often a waiter looks by itself: a message may be lost with its connection. */
const LOOK_EVERY_MS = 2_000
/** How long a waiter gathers changes, which come in bursts, before it looks. */
const GATHER_MS = 25

/** What ends a wait before its time: the end of the job, its end or a pause that somebody must end, or any change. */
export type WaitUntil = 'done' | 'done_or_paused' | 'any_change'

/**
 * Resolves when the job has ended, is paused or has changed, as `until` says; when `waitMs` is over; when `signal`
 * aborts; or at once when there is no such job. `any_change` counts from `after`, a value of the job's `changes`;
 * absent: from now. It does not say which: read the job afterwards.
 * @throws {MusterError} ledger_unavailable
 */
export async function waitForJob(
  ledger: Ledger,
  jobId: string,
  options: { until: WaitUntil; after?: number | undefined; waitMs: number; signal: AbortSignal },
): Promise<void> {
  if (options.waitMs <= 0) return
  // Not AbortSignal.timeout: inside AbortSignal.any, Node 20 may collect its timer as garbage, and the wait never ends.
  const over = new AbortController()
  const timer = globalThis.setTimeout(() => over.abort(), options.waitMs)
  const stop = AbortSignal.any([options.signal, over.signal])
  const doorbell = listenToJob(ledger, jobId)
  try {
    const first = await look(ledger, jobId)
    const before = options.after ?? first?.version
    for (let now = first; !isOver(now, before, options.until); now = await look(ledger, jobId)) {
      await doorbell.ring(stop)
      if (stop.aborted) return
    }
  } finally {
    doorbell.remove()
    clearTimeout(timer)
  }
}

type Look = { state: JobState; version: number } | undefined

function isOver(now: Look, before: number | undefined, until: WaitUntil): boolean {
  if (now === undefined || isTerminalJob(now.state)) return true
  if (until === 'done_or_paused') return now.state === 'paused'
  return until === 'any_change' && now.version !== before
}

async function look(ledger: Ledger, jobId: string): Promise<Look> {
  const { redis, keys } = ledger
  const [state, version] = await ask(redis, () => redis.hmget(keys.job(jobId), 'state', 'version'), jobId)
  return state == null ? undefined : { state: JobState.parse(state), version: Number(version ?? 0) }
}

/** Rings when a job may have changed. */
type Doorbell = {
  /**
   * Resolves soon after a change, including one since the last call; after 2 s without a change, because a message may
   * be lost; and when `stop` aborts.
   */
  ring(stop: AbortSignal): Promise<void>
  /** Stops listening. Call it at the end. */
  remove(): void
}

/** Listens for changes of a job. One subscription serves all listeners of a process. */
export function listenToJob(ledger: Ledger, jobId: string): Doorbell {
  const listener = ledger.listener()
  setMaxListeners(0, listener)
  // Remembers a ring between two waits.
  let rung = false
  let wake = () => {}
  const ring = () => {
    rung = true
    wake()
  }
  const onMessage = (channel: string, changed: string) => {
    if (channel === ledger.keys.changed && changed === jobId) ring()
  }
  listener.on('message', onMessage)
  // Subscribing again is a no-op for Redis. Nothing was heard before the first subscription held, so it is followed by
  // a look. While Redis is away, the regular looks must do.
  listener.subscribe(ledger.keys.changed).then(ring, () => {})
  return {
    ring: async (stop: AbortSignal) => {
      if (!rung) {
        await wakeOr(stop, LOOK_EVERY_MS, (wakeUp) => {
          wake = wakeUp
        })
      }
      if (!stop.aborted) await setTimeout(GATHER_MS)
      rung = false
    },
    remove: () => listener.off('message', onMessage),
  }
}

/** Resolves when woken, after `mostMs`, or when `stop` aborts. */
function wakeOr(stop: AbortSignal, mostMs: number, onReady: (wakeUp: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const wakeUp = () => {
      clearTimeout(timer)
      stop.removeEventListener('abort', wakeUp)
      resolve()
    }
    const timer = globalThis.setTimeout(wakeUp, mostMs)
    stop.addEventListener('abort', wakeUp)
    onReady(wakeUp)
    if (stop.aborted) wakeUp()
  })
}
