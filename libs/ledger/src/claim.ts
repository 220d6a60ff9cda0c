/**
 * What a worker does to a run, step by step: claim, dispatch, append, finish. Each is a compare-and-set on the run's
 * epoch, so a worker whose claim was taken away changes nothing any more.
 *
 *   queued ──claimRun──► connecting ──dispatchRun──► running ──finishRun──► terminal
 *                             └──────────finishRun (never started)─────────────┘
 *
 * Knows nothing of SSH, and starts nothing by itself.
 */
import { randomBytes } from 'node:crypto'
import { JobSpec, type Reason, type Remote, type TerminalRunState } from '@muster/contract'
import { z } from 'zod'
import type { Ledger } from './open-ledger.ts'
import { parseReleased, runScript } from './scripts.ts'
import { issueTickets, type Ticket } from './ticket.ts'

/** A run that this worker holds. `epoch` fences off every earlier claim on it. */
export type Claim = { readonly jobId: string; readonly index: number; readonly host: string; readonly epoch: number }

/** How a run ended, as its worker found it. */
export type RunEnd = {
  readonly state: TerminalRunState
  readonly remote: Remote
  readonly reason: Reason | null
  /** The reason in words. Null when there is nothing to add. */
  readonly detail: string | null
  /** As the host reported it; null when it did not. */
  readonly exitCode: number | null
  readonly signal: string | null
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
}

const Answer = z.array(z.string()).min(1)

/**
 * Takes the run a ticket asks for. Undefined when there is nothing to do: someone holds it, it has ended, or the
 * ticket is of an earlier attempt. Then the ticket is done with; the sweep watches over whoever holds the run.
 */
export async function claimRun(ledger: Ledger, ticket: Ticket, worker: string): Promise<Claim | undefined> {
  const { redis, keys } = ledger
  const jobId = ticket.job_id
  const answer = Answer.parse(
    await runScript(
      redis,
      'claim',
      [keys.job(jobId)],
      [keys.base, jobId, ticket.index, ticket.attempt, worker, randomBytes(6).toString('base64url')],
    ),
  )
  const [word, epoch, host] = answer
  if (word !== 'claimed' || host === undefined) return undefined
  return { jobId, index: ticket.index, host, epoch: Number(epoch) }
}

/** The command of a job and how to run it. Immutable, so callers may keep it. */
export async function readSpec(ledger: Ledger, jobId: string): Promise<JobSpec> {
  const text = await ledger.redis.hget(ledger.keys.job(jobId), 'spec')
  return JobSpec.parse(JSON.parse(text ?? 'null'))
}

/**
 * Writes the dispatch mark; only after `go` may the command be sent. `cancelled`: the job was cancelled meanwhile, so
 * finish the run as never started. `fenced`: the claim is not ours any more, so do nothing.
 */
export async function dispatchRun(
  ledger: Ledger,
  claim: Claim,
  connectMs: number,
): Promise<'go' | 'cancelled' | 'fenced'> {
  const { redis, keys } = ledger
  const answer = await runScript(
    redis,
    'dispatch',
    [keys.job(claim.jobId)],
    [keys.base, claim.jobId, claim.index, claim.epoch, Math.round(connectMs)],
  )
  return z.enum(['go', 'cancelled', 'fenced']).parse(answer)
}

/** Stores bytes of the head of a stream at their offset. False when the claim is not ours any more. */
export async function appendOutput(
  ledger: Ledger,
  claim: Claim,
  stream: 'stdout' | 'stderr',
  offset: number,
  bytes: Buffer,
): Promise<boolean> {
  const { redis, keys } = ledger
  const answer = await runScript(
    redis,
    'append',
    [keys.job(claim.jobId), keys.head(claim.jobId, claim.index, stream)],
    [keys.base, claim.jobId, claim.index, claim.epoch, offset, bytes],
  )
  return answer === 'ok'
}

/**
 * Ends the run, moves the counts and lets the next runs of the job go. False when the claim is not ours any more;
 * then nothing was changed.
 */
export async function finishRun(ledger: Ledger, claim: Claim, end: RunEnd): Promise<boolean> {
  const { redis, keys } = ledger
  await storeTails(ledger, claim, end)
  const answer = await runScript(
    redis,
    'finish',
    [keys.job(claim.jobId)],
    [
      keys.base,
      claim.jobId,
      claim.index,
      claim.epoch,
      end.state,
      end.remote,
      end.reason ?? '',
      ...fieldsOf(end).flat(),
    ],
  )
  const { word, released } = parseReleased(answer)
  if (released.length > 0) {
    const title = await redis.hget(keys.job(claim.jobId), 'title')
    await issueTickets(ledger.tickets, claim.jobId, title ?? '', released)
  }
  return word === 'finished'
}

/** The tail goes first: a run that has ended has all its output. */
async function storeTails(ledger: Ledger, claim: Claim, end: RunEnd): Promise<void> {
  if (end.output === undefined) return
  for (const stream of ['stdout', 'stderr'] as const) {
    const { tail } = end.output[stream]
    if (tail.length > 0) await ledger.redis.set(ledger.keys.tail(claim.jobId, claim.index, stream), tail)
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
  if (stdout.omittedBytes > 0) fields.push(['stdout_omitted', stdout.omittedBytes])
  if (stderr.omittedBytes > 0) fields.push(['stderr_omitted', stderr.omittedBytes])
  fields.push(['digest', digest])
  if (!complete) fields.push(['incomplete', 1])
  return fields
}
