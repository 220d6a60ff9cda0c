/** When the last attempt of a job may start: as long as its clocks, pauses and retries allow at most. Pure. */
import type { JobSpec } from '@muster/contract'
import { batchCount, rolloutOf } from './rollout.ts'

/** What an attempt may take beyond its own limits: a durable run whose host is away, a worker that died. */
const MARGIN_MS = 30 * 60_000
/** Jitter makes a pause before a retry longer by this factor at most. */
const JITTER = 1.5

/**
 * How long after its submit, or after an order that widened it, an attempt of a job over `total` hosts may still start.
 * With manual gates it reaches to the next one: the order to go on counts anew.
 */
export function lastStartMs(spec: JobSpec, total: number, execTimeoutS = spec.exec_timeout_s): number {
  const { start_deadline_s: startS, batch_pause_s: pauseS, retries, retry_backoff_s: backoffS } = spec
  const startMs = (startS + pauseS) * 1_000
  const attemptMs = attemptMostMs(spec, execTimeoutS)
  const backoffMs = backoffS * 1_000 * (2 ** retries - 1) * JITTER
  // Only a run that has started before may start again after the start deadline, and wait for its host again.
  const retryMs = spec.retry_on === undefined ? 0 : retries * (attemptMs + startS * 1_000) + backoffMs
  const { batches } = rolloutOf(spec, total)
  const more = batches.length === 0 || spec.gate === 'manual' ? 0 : batchCount(batches, total) - 1
  // A batch of which no host was tried pauses the job, too.
  const batchMs = startMs + startS * 1_000 + (retries + 1) * attemptMs + backoffMs + retryMs
  const mostMs = startMs + retryMs + more * batchMs
  return Math.round(Math.min(mostMs, (spec.job_timeout_s ?? Number.POSITIVE_INFINITY) * 1_000))
}

function attemptMostMs({ connect_timeout_s, kill_grace_s, health_check }: JobSpec, execTimeoutS: number): number {
  return (2 * connect_timeout_s + execTimeoutS + kill_grace_s + (health_check?.timeout_s ?? 0)) * 1_000 + MARGIN_MS
}
