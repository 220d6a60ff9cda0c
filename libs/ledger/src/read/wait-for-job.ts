/** Waiting for a job to change or to end, without asking all the time. */
import { setMaxListeners } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { isTerminalJob, JobState } from '@muster/contract'
import { ask, type Ledger } from '../redis/open-ledger.ts'

/** A message may be lost with its connection, so a waiter also looks by itself this often. */
const LOOK_EVERY_MS = 2_000
/** Changes come in bursts; one look serves a burst. */
const GATHER_MS = 25

/** What ends a wait beside its time: the end of the job, that or a pause that somebody must end, or any change. */
export type WaitUntil = 'done' | 'done_or_paused' | 'any_change'

/**
 * Resolves when the job has ended, is paused or has changed, as `until` says (`any_change`: since the call, or since its
 * `changes` were `after`), when `waitMs` is over, when `signal` aborts, or at once when there is no such job.
 * Tells nothing: read the job afterwards.
 * @throws {MusterError} ledger_unavailable
 */
export async function waitForJob(
  ledger: Ledger,
  jobId: string,
  options: { until: WaitUntil; after?: number | undefined; waitMs: number; signal: AbortSignal },
): Promise<void> {
  if (options.waitMs <= 0) return
  // A timer of our own: Node 20 loses that of AbortSignal.timeout inside AbortSignal.any when garbage is collected, and
  // the wait would never end.
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

/** Tells when a job may have changed. */
export type Doorbell = {
  /**
   * Resolves soon after a change, also one since the last call; after 2 s without any, as a message may be lost; and
   * when `stop` aborts.
   */
  ring(stop: AbortSignal): Promise<void>
  /** To be called at the end. */
  remove(): void
}

/** Listens for changes of a job. One subscription serves all who listen in a process. */
export function listenToJob(ledger: Ledger, jobId: string): Doorbell {
  const listener = ledger.listener()
  setMaxListeners(0, listener)
  // A ring between two waits must not be missed, so it is remembered.
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
  // Subscribing again is a no-op for Redis. What happened before the first subscription held was not heard, so a look
  // is due then; while Redis is away the regular looks must do.
  listener.subscribe(ledger.keys.changed).then(ring, () => {})
  return {
    ring: async (stop: AbortSignal) => {
      if (!rung)
        await wakeOr(stop, LOOK_EVERY_MS, (wakeUp) => {
          wake = wakeUp
        })
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
