/**
 * Reports the progress of waits to callers that gave a token: how many hosts of the job have ended so far.
 *
 * Notifications are at least 5 s apart, and none comes just before the result or after it: clients lose such a one, and
 * some close the connection because of it.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { isTerminalRun, type Job, RunState } from '@muster/contract'
import { findJob, type Ledger } from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import type { Caller } from '../operations/call/operation.ts'
import type { ToolCall } from './request.ts'

/** A little over 5 s, as a timer may fire a millisecond early. */
const EVERY_MS = 5_010
/** Clients need this long to handle a notification before the result comes. */
const QUIET_MS = 300

/**
 * Does `work` for a caller that is told how its wait is going. A result that comes just after a notification is held
 * back for a moment. No timer is left when it returns.
 */
export async function reportProgress<T>(
  { ledger, logger }: { ledger: Ledger; logger: Logger },
  { meta: { progressToken }, notify }: Pick<ToolCall, 'meta' | 'notify'>,
  caller: Caller,
  work: (caller: Caller) => Promise<T>,
): Promise<T> {
  if (progressToken === undefined) return work(caller)
  const over = new AbortController()
  const until = AbortSignal.any([over.signal, caller.signal])
  let telling = Promise.resolve()
  let lastMs = Number.NEGATIVE_INFINITY

  const tell = async (jobId: string, waitMs: number) => {
    const startMs = performance.now()
    for (;;) {
      await pause(EVERY_MS, undefined, { signal: until })
      const elapsedMs = performance.now() - startMs
      // The wait is about to end, and its end brings the result.
      if (elapsedMs > waitMs - QUIET_MS) return
      const job = await findJob(ledger, jobId)
      if (until.aborted || job === undefined) return
      lastMs = performance.now()
      await notify({
        progressToken,
        progress: Math.floor(elapsedMs / 1_000),
        total: Math.ceil(waitMs / 1_000),
        message: progressText(job),
      })
    }
  }
  const onWait = (jobId: string, waitMs: number) => {
    telling = tell(jobId, waitMs).catch((error: unknown) => {
      if (!until.aborted) logger.warn({ err: error, job_id: jobId }, 'progress of a wait could not be reported')
    })
  }
  try {
    return await work({ ...caller, onWait })
  } finally {
    over.abort()
    await telling
    const sinceMs = performance.now() - lastMs
    if (sinceMs < QUIET_MS) await pause(QUIET_MS - sinceMs, undefined, { signal: caller.signal }).catch(() => {})
  }
}

/** For example "12 of 500 hosts have ended, 1 of them failed; 2 running". */
export function progressText({ state, total, counts }: Pick<Job, 'state' | 'total' | 'counts'>): string {
  const ended = RunState.options.filter(isTerminalRun)
  const sum = (states: readonly RunState[]) => states.reduce((hosts, each) => hosts + (counts[each] ?? 0), 0)
  const wrong = ended.filter((each) => each !== 'succeeded' && sum([each]) > 0)
  const going = RunState.options.filter((each) => !isTerminalRun(each) && sum([each]) > 0)
  const list = (states: readonly RunState[], of = '') => states.map((each) => `${sum([each])}${of} ${each}`).join(', ')
  const hosts = total === 1 ? 'host has' : 'hosts have'
  const bad = wrong.length > 0 ? `, ${list(wrong, ' of them')}` : ''
  const rest = going.length > 0 ? `; ${list(going)}` : ''
  const paused = state === 'paused' ? '; the job is paused' : ''
  return `${sum(ended)} of ${total} ${hosts} ended${bad}${rest}${paused}`
}
