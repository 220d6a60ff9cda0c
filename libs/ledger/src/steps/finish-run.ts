/**
 * Ends an attempt: stores the tails of its output, and then takes one step that ends the run, or lets it wait for
 * another attempt, and releases the next runs of the job.
 */
import type { OutputStream, Reached, Reason, Remote, TerminalRunState } from '@muster/contract'
import { z } from 'zod'
import { endText, lateText } from '../job/signed-end.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { releaseTickets } from '../tickets/ticket-queue.ts'
import { appendOutput, type Claim, claimed } from './claim.ts'

/** Stands for the digest of no output. */
const EMPTY_DIGEST = 'empty'

const FinishAnswer = z.enum(['finished', 'retrying', 'fenced'])

const STREAMS = ['stdout', 'stderr'] as const

/** How an attempt ended, as its worker found it. */
export type RunEnd = {
  readonly state: TerminalRunState
  readonly remote: Remote
  readonly reason: Reason | null
  /** The reason in words. Null when there is nothing to say. */
  readonly detail: string | null
  /** As the host reported it. Null when it reported none. */
  readonly exitCode: number | null
  readonly signal: string | null
  /** What else to know of the run. Absent: nothing. */
  readonly notice?: string
  /** Whether another attempt may go better than this one, which never started. The options of the job decide. */
  readonly isRetryable: boolean
  /** Whether the host itself was asked and did not let us in; only that counts for its circuit breaker. Absent: no. */
  readonly isHostsFault?: boolean
  /** A digest of what the host was tried with; its breaker holds off nothing else. Absent when that is not known. */
  readonly tried?: string
  /** What the attempt reached, as far as this worker saw it. Absent: it made no TCP connection. */
  readonly reached?: Reached
  /** Absent when the command was never sent. */
  readonly output?: {
    readonly stdout: KeptStream
    readonly stderr: KeptStream
    /** False when bytes may be missing, such as those of a child that was left in the background. */
    readonly complete: boolean
    /** A digest of all bytes of both streams, kept or not; equal for equal output. At most 64 characters. */
    readonly digest: string
  }
}

/** What is kept of a stream at its end. `omittedBytes` are those that the output limit left out of the middle. */
type KeptStream = {
  readonly bytes: number
  readonly omittedBytes: number
  readonly tail: Buffer
  readonly sha256: string
}

/**
 * Ends the attempt. `finished`: the run has ended. `retrying`: it waits for another attempt. `fenced`: the claim no
 * longer holds, and what was found is kept as the run's late result. A tail that finds no room in Redis is offered
 * again as long as `waitForRoom` resolves to true; after that it counts as omitted. Absent: it is offered once.
 */
export async function finishRun(
  ledger: Ledger,
  claim: Claim,
  end: RunEnd,
  waitForRoom: () => Promise<boolean> = async () => false,
): Promise<'finished' | 'retrying' | 'fenced'> {
  const tails = await storeTails(ledger, claim, end, waitForRoom)
  const { state, remote, reason, exitCode, isRetryable } = end
  const reached = end.reached === undefined ? '' : JSON.stringify(end.reached)
  const [stdout, stderr] = [end.output?.stdout, end.output?.stderr]
  const given = {
    to: state,
    remote,
    reason: reason ?? '',
    exitCode: exitCode ?? '',
    isRetryable: isRetryable ? '1' : '0',
    isHostsFault: end.isHostsFault === true ? '1' : '0',
    tried: end.tried ?? '',
    notice: end.notice ?? '',
    reached,
    stdoutBytes: stdout?.bytes ?? 0,
    stdoutLeftOut: stdout?.omittedBytes ?? 0,
    stdoutTail: tails.stdout,
    stderrBytes: stderr?.bytes ?? 0,
    stderrLeftOut: stderr?.omittedBytes ?? 0,
    stderrTail: tails.stderr,
    ...claimed(claim),
  }
  const fields = fieldsOf(claim, end)
  const signed = await signedBy(ledger, end, textOf(claim, end, { reached, fields }))
  if (signed !== undefined) fields.push(['signed', signed])
  const answer = await runScript(ledger, 'finish', given, fields.flat())
  const word = FinishAnswer.parse(await releaseTickets(ledger, answer))
  if (word === 'fenced' && remote !== 'not_started') await keepLate(ledger, claim, end)
  return word
}

/** The signature of this worker, which vouches for nothing of a run that no server has signed. */
async function signedBy({ ends }: Ledger, { reason }: RunEnd, text: string): Promise<string | undefined> {
  return reason === 'signature_invalid' ? undefined : await ends.sign?.(text)
}

/** What the worker signs: the fields of the record as they will be when the run has ended. */
function textOf(
  claim: Claim,
  { state, remote, reason }: RunEnd,
  { reached, fields }: { reached: string; fields: ReadonlyArray<readonly [string, string | number]> },
): string {
  const told = Object.fromEntries(fields.map(([name, value]) => [name, String(value)]))
  const { attempt, worker } = claim
  const record = { state, remote, reason: reason ?? '', reached, worker, attempt: String(attempt), ...told }
  return endText(claim, record)
}

/** Keeps what was found of a run that was settled without this worker. */
async function keepLate(ledger: Ledger, claim: Claim, end: RunEnd): Promise<void> {
  const { state, remote, reason, detail, exitCode, signal } = end
  const at = new Date().toISOString()
  const late = { state, remote, reason, detail, exit_code: exitCode, signal, worker: claim.worker, at }
  const signed = await signedBy(ledger, end, lateText(claim, late))
  const lateResult = JSON.stringify({ ...late, signed })
  await runScript(ledger, 'keep-late-result', { lateResult, ...claimed(claim) })
}

/**
 * Stores the tails before the run ends, because a run that has ended has all its output. Returns how many bytes were
 * stored.
 */
async function storeTails(
  ledger: Ledger,
  claim: Claim,
  end: RunEnd,
  waitForRoom: () => Promise<boolean>,
): Promise<Record<OutputStream, number>> {
  const taken = { stdout: 0, stderr: 0 }
  if (end.output === undefined) return taken
  for (const stream of STREAMS) {
    const { tail, bytes } = end.output[stream]
    if (tail.length === 0) continue
    const part = { stream, side: 'tail', offset: bytes - tail.length, bytes: tail } as const
    let word = await appendOutput(ledger, claim, part)
    while (word === 'full' && (await waitForRoom())) word = await appendOutput(ledger, claim, part)
    if (word === 'ok') taken[stream] = tail.length
  }
  return taken
}

function fieldsOf({ startedAgoMs }: Claim, end: RunEnd): Array<[string, string | number]> {
  const fields: Array<[string, string | number]> = []
  if (end.detail !== null) fields.push(['detail', end.detail])
  if (end.exitCode !== null) fields.push(['exit_code', end.exitCode])
  if (end.signal !== null) fields.push(['signal', end.signal])
  if (end.output === undefined) return fields
  const { stdout, stderr, complete, digest } = end.output
  // Usual values are not stored: a job may have very many runs, and most print little.
  const isEmpty = complete && stdout.bytes === 0 && stderr.bytes === 0
  for (const [stream, { bytes, sha256, omittedBytes }] of Object.entries({ stdout, stderr })) {
    if (bytes > 0) fields.push([stream, bytes], [`${stream}_sha256`, sha256])
    // The worker before may have stored some, of which this one knows nothing.
    else if (startedAgoMs !== undefined) fields.push([stream, 0])
    if (omittedBytes > 0) fields.push([`${stream}_omitted`, omittedBytes])
  }
  fields.push(['digest', isEmpty ? EMPTY_DIGEST : digest])
  if (!complete) fields.push(['incomplete', 1])
  return fields
}
