/**
 * A worker without SSH, for tests of the ledger: it claims runs, says that they ran, and ends them as the test wants.
 */
import { type Claim, claimRun, dispatchRun, finishRun, type Ledger, type RunEnd } from '@muster/ledger'

/** Ends a worker may report. */
export const ENDS = {
  ok: { state: 'succeeded', remote: 'ended', reason: null, exitCode: 0 },
  failed: { state: 'failed', remote: 'ended', reason: 'exit_nonzero', exitCode: 1 },
  refused: { state: 'unreachable', remote: 'not_started', reason: 'conn_refused', exitCode: null },
  denied: { state: 'unreachable', remote: 'not_started', reason: 'auth_failed', exitCode: null },
  lost: { state: 'lost', remote: 'unknown', reason: 'conn_lost', exitCode: null },
} as const satisfies Record<string, Pick<RunEnd, 'state' | 'remote' | 'reason' | 'exitCode'>>
export type EndName = keyof typeof ENDS

const WORKER = 'w1'

/** The indexes of the runs that are released and wait for a worker, in order. */
export async function queuedRuns(ledger: Ledger, jobId: string): Promise<number[]> {
  const { redis, keys } = ledger
  const open = (await redis.smembers(keys.open(jobId))).map(Number).sort((a, b) => a - b)
  const states = await Promise.all(open.map((index) => redis.hget(keys.run(jobId, index), 'state')))
  return open.filter((_, i) => states[i] === 'queued')
}

/** Claims a run with its present ticket. Undefined when it is not to be had. */
export async function claimIndex(ledger: Ledger, jobId: string, index: number): Promise<Claim | undefined> {
  const { redis, keys } = ledger
  await redis.set(keys.worker(WORKER), '[]')
  const [host, attempt, reissue] = await redis.hmget(keys.run(jobId, index), 'host', 'attempt', 'reissue')
  const ticket = { job_id: jobId, index, host: host ?? '', attempt: Number(attempt), reissue: Number(reissue) }
  return await claimRun(ledger, ticket, WORKER)
}

/** Ends a claimed run: dispatched before, unless it is one that never started. */
export async function endAs(ledger: Ledger, claim: Claim, name: EndName, isRetryable = false) {
  const end = ENDS[name]
  if (end.remote !== 'not_started') await dispatchRun(ledger, claim, { connectMs: 1, mode: 'attached' })
  const isHostsFault = end.state === 'unreachable'
  return await finishRun(ledger, claim, { ...end, detail: null, signal: null, isRetryable, isHostsFault })
}

/**
 * Works on a job, `parallel` runs at a time in waves, until no run waits any more. Answers the largest wave and the
 * hosts that ran, in order.
 */
export async function workOff(
  ledger: Ledger,
  jobId: string,
  options: { parallel?: number; endOf?: (host: string) => EndName } = {},
): Promise<{ largestWave: number; ran: string[] }> {
  const { parallel = Number.POSITIVE_INFINITY, endOf = () => 'ok' as const } = options
  const ran: string[] = []
  let largestWave = 0
  for (let wave = await queuedRuns(ledger, jobId); wave.length > 0; wave = await queuedRuns(ledger, jobId)) {
    const claims = await Promise.all(wave.slice(0, parallel).map((index) => claimIndex(ledger, jobId, index)))
    const held = claims.filter((claim) => claim !== undefined)
    largestWave = Math.max(largestWave, held.length)
    for (const claim of held) {
      ran.push(claim.host)
      await endAs(ledger, claim, endOf(claim.host))
    }
  }
  return { largestWave, ran }
}
