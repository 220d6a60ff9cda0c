/**
 * The end of an attempt: what is left of its output is stored, then one step ends the run, or lets it wait for another
 * attempt, and lets the next runs of the job go.
 */
import type { Reason, Remote, TerminalRunState } from '@muster/contract'
import { z } from 'zod'
import { appendOutput, type Claim } from './claim.ts'
import type { Ledger } from './open-ledger.ts'
import { releaseTickets } from './release-tickets.ts'
import { runScript } from './scripts.ts'

/** How an attempt ended, as its worker found it. */
export type RunEnd = {
  readonly state: TerminalRunState
  readonly remote: Remote
  readonly reason: Reason | null
  /** The reason in words. Null when there is nothing to add. */
  readonly detail: string | null
  /** As the host reported it; null when it did not. */
  readonly exitCode: number | null
  readonly signal: string | null
  /** Whether another attempt may go better, for one that never started. Whether there is one, the job's options say. */
  readonly isRetryable: boolean
  /** Absent when the command was never sent. */
  readonly output?: {
    readonly stdout: StreamEnd
    readonly stderr: StreamEnd
    /** False when bytes may be missing, such as those of a child left in the background. */
    readonly complete: boolean
    /** A digest of all bytes of both streams, kept or not: equal digests, equal output. At most 64 characters. */
    readonly digest: string
  }
}

/** The end of one stream: what is kept beyond the head that was appended. */
type StreamEnd = {
  readonly bytes: number
  readonly omittedBytes: number
  readonly tail: Buffer
  readonly sha256: string
}

/**
 * Ends the attempt. `finished`: the run has ended. `retrying`: it waits for another attempt. `fenced`: the claim is not
 * ours any more, and what was found is kept as the run's late result.
 */
export async function finishRun(
  ledger: Ledger,
  claim: Claim,
  end: RunEnd,
): Promise<'finished' | 'retrying' | 'fenced'> {
  const { redis, keys } = ledger
  await storeTails(ledger, claim, end)
  const { jobId, index, epoch, worker } = claim
  const { state, remote, reason, detail, exitCode, signal, isRetryable } = end
  const at = new Date().toISOString()
  const late = { state, remote, reason, detail, exit_code: exitCode, signal, worker, at }
  const answer = await runScript(
    redis,
    'finish',
    [keys.job(jobId)],
    [
      keys.base,
      jobId,
      index,
      epoch,
      state,
      remote,
      reason ?? '',
      exitCode ?? '',
      isRetryable ? '1' : '0',
      JSON.stringify(late),
      ...fieldsOf(end).flat(),
    ],
  )
  return z.enum(['finished', 'retrying', 'fenced']).parse(await releaseTickets(ledger, jobId, answer))
}

/** The tail goes first: a run that has ended has all its output. */
async function storeTails(ledger: Ledger, claim: Claim, end: RunEnd): Promise<void> {
  if (end.output === undefined) return
  for (const stream of ['stdout', 'stderr'] as const) {
    const { tail, bytes } = end.output[stream]
    if (tail.length === 0) continue
    await appendOutput(ledger, claim, { stream, place: 'tail', offset: bytes - tail.length, bytes: tail })
  }
}

function fieldsOf(end: RunEnd): Array<[string, string | number]> {
  const fields: Array<[string, string | number]> = []
  if (end.detail !== null) fields.push(['detail', end.detail])
  if (end.exitCode !== null) fields.push(['exit_code', end.exitCode])
  if (end.signal !== null) fields.push(['signal', end.signal])
  if (end.output === undefined) return fields
  const { stdout, stderr, complete, digest } = end.output
  fields.push(['stdout', stdout.bytes], ['stderr', stderr.bytes])
  fields.push(['stdout_sha256', stdout.sha256], ['stderr_sha256', stderr.sha256])
  fields.push(['stdout_omitted', stdout.omittedBytes], ['stderr_omitted', stderr.omittedBytes])
  fields.push(['digest', digest])
  if (!complete) fields.push(['incomplete', 1])
  return fields
}
