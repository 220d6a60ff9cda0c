/**
 * What a worker does to a run, step by step. Each step compares the epoch and the nonce of the claim, so a worker whose
 * claim was taken away changes nothing any more.
 *
 *   queued → claimRun → connecting → dispatchRun → running → finishRun → terminal, or retry_wait
 *   connecting → finishRun (never started) → terminal, or retry_wait
 *   running (durable) → handOver → running, without a worker → claimRun → running
 *
 * Knows nothing of SSH, and starts nothing. finish-run.ts ends runs.
 */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type OutputStream, type Reached, Reason, type RunMode, TerminalRunState } from '@muster/contract'
import { z } from 'zod'
import { LEASE_MS } from '../redis/ledger-time.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { CLAIMED_FIELDS } from '../redis/script-table.ts'
import { runScript } from '../redis/scripts.ts'
import type { Ticket } from '../tickets/ticket.ts'
import { releaseTickets } from '../tickets/ticket-queue.ts'

/**
 * A run that this worker holds. `epoch` fences off every earlier claim. `nonce` fences off a claim that Redis forgot:
 * after a failover it may give the same epoch out again.
 */
export type Claim = {
  readonly jobId: string
  readonly index: number
  readonly host: string
  readonly attempt: number
  readonly epoch: number
  readonly nonce: string
  /** The worker's ID. */
  readonly worker: string
  /** How many hosts the job has. */
  readonly total: number
  /** How long ago the command of a durable run was started, which goes on at its host. Absent: it is to be started. */
  readonly startedAgoMs?: number
  /** How long the job may still take, from the claim on. Absent: it has no limit. */
  readonly jobLeftMs?: number
  /** How long the command may take; the limit may be raised later. */
  readonly execTimeoutMs: number
  /** How many runs of the job may be in flight at once. */
  readonly concurrency: number
}

const Answer = z.array(z.string()).min(1)
/** 96 bits, enough for the at most ten thousand or so host keys of a job. */
const KEY_DIGEST_CHARS = 16

const optionalMs = z.string().transform((text) => (text === '' ? undefined : Number(text)))
const Claimed = z.object({
  epoch: z.coerce.number(),
  host: z.string(),
  started_ago_ms: optionalMs,
  job_left_ms: optionalMs,
  exec_timeout_ms: z.coerce.number(),
  concurrency: z.coerce.number(),
  total: z.coerce.number(),
})

/**
 * Returns a digest of what a run would try at its host, to reach it or to log in. Undefined when that is not known.
 */
export type TriedWith = (
  run: Pick<Claim, 'jobId' | 'index' | 'host'>,
  kind: 'connect' | 'auth',
) => Promise<string | undefined>

/**
 * Takes the run that a ticket asks for. Undefined when there is nothing to do: another worker holds the run, it has
 * ended, it must not start any more, or the ticket is of an earlier attempt. Then the ticket is done; the sweep watches
 * over the worker that holds the run. An open breaker lets through what has not failed yet, as `triedWith` tells;
 * without `triedWith`, nothing.
 */
export async function claimRun(
  ledger: Ledger,
  ticket: Ticket,
  worker: string,
  triedWith?: TriedWith,
): Promise<Claim | undefined> {
  const { job_id: jobId, index, attempt, reissue } = ticket
  const nonce = randomBytes(6).toString('base64url')
  const tryWith = async (tried: string) => {
    const given = { jobId, index, attempt, reissue, worker, nonce, tried }
    return Answer.parse(await runScript(ledger, 'claim', given))
  }
  let answer = await tryWith(triedWith === undefined ? '-' : '')
  if (answer[0] === 'tried with') {
    const [word, host = '', kind, ...tickets] = answer
    await releaseTickets(ledger, [word, ...tickets])
    answer = await tryWith((await triedWith?.({ jobId, index, host }, kind === 'auth' ? 'auth' : 'connect')) ?? '-')
  }
  const [word, ...rest] = answer
  if (word !== 'claimed') {
    await releaseTickets(ledger, answer)
    return undefined
  }
  await releaseTickets(ledger, [word, ...rest.slice(CLAIMED_FIELDS.length)])
  const told = Claimed.parse(Object.fromEntries(CLAIMED_FIELDS.map((field, i) => [field, rest[i]])))
  const { started_ago_ms: startedAgoMs, job_left_ms: jobLeftMs } = told
  return {
    jobId,
    index,
    host: told.host,
    attempt,
    epoch: told.epoch,
    nonce,
    worker,
    total: told.total,
    execTimeoutMs: told.exec_timeout_ms,
    concurrency: told.concurrency,
    ...(startedAgoMs === undefined ? {} : { startedAgoMs }),
    ...(jobLeftMs === undefined ? {} : { jobLeftMs }),
  }
}

/** The answer to a worker that is about to send a command. */
export type DispatchAnswer =
  /** Send it before `performance.now()` reaches `sendBeforeMs`; after that the lease may have run out. */
  | { readonly word: 'go'; readonly sendBeforeMs: number }
  /** It must not start any more: finish the run as never started, in this state and for this reason. */
  | { readonly word: 'over'; readonly state: TerminalRunState; readonly reason: Reason }
  /** The claim no longer holds: do nothing. */
  | { readonly word: 'fenced' }
  /** The lease has run out: finish the run as never started. */
  | { readonly word: 'no_lease' }

/**
 * How long a lease that has run out is waited for. A living worker renews it sooner, even after Redis' clock was set
 * ahead.
 */
const NO_LEASE_MS = 4_000
const ASK_AGAIN_MS = 200

type DispatchOptions = {
  readonly connectMs: number
  readonly mode: RunMode
  readonly hostKey?: Buffer
  readonly reached?: Reached
  readonly notice?: string
}

/**
 * Writes the dispatch mark; only after `go` may the command be sent. The notices of the job name hosts that share a
 * `hostKey`; absent: the host is not compared. `reached` is kept with the run. `notice` is what to tell people about
 * the connection. Waits for a lease that has run out, because it may be about to be renewed.
 */
export async function dispatchRun(ledger: Ledger, claim: Claim, options: DispatchOptions): Promise<DispatchAnswer> {
  const giveUpMs = performance.now() + NO_LEASE_MS
  for (;;) {
    const answer = await askToDispatch(ledger, claim, options)
    if (answer.word !== 'no_lease' || performance.now() > giveUpMs) return answer
    await sleep(ASK_AGAIN_MS)
  }
}

async function askToDispatch(ledger: Ledger, claim: Claim, options: DispatchOptions): Promise<DispatchAnswer> {
  const { connectMs, mode, hostKey, reached, notice = '' } = options
  const keyDigest = hostKey === undefined ? '' : createHash('sha256').update(hostKey).digest('base64url')
  const askedMs = performance.now()
  const answer = await runScript(ledger, 'dispatch', {
    connectMs: Math.round(connectMs),
    mode,
    hostKey: keyDigest.slice(0, KEY_DIGEST_CHARS),
    reached: reached === undefined ? '' : JSON.stringify(reached),
    notice,
    ...claimed(claim),
  })
  const [word, first, second] = Answer.parse(answer)
  if (word === 'go') {
    const leaseMs = Number(first)
    // -1: the lease has no end. A lease with more time than any gets was renewed before Redis' clock was set back.
    return { word, sendBeforeMs: leaseMs === -1 ? Number.POSITIVE_INFINITY : askedMs + Math.min(leaseMs, LEASE_MS) }
  }
  if (word === 'over') return { word, state: TerminalRunState.parse(first), reason: Reason.parse(second) }
  return { word: z.enum(['fenced', 'no_lease']).parse(word) }
}

/** Makes a durable run attached, before its command is sent. Resolves to false when the claim no longer holds. */
export async function fallBackToAttached(ledger: Ledger, claim: Claim, notice: string): Promise<boolean> {
  return (await runScript(ledger, 'fall-back', { notice, ...claimed(claim) })) === 'ok'
}

/**
 * Hands a durable run, which goes on at its host, to another worker. Resolves to false when the claim no longer holds.
 */
export async function handOver(ledger: Ledger, claim: Claim): Promise<boolean> {
  return (await releaseTickets(ledger, await runScript(ledger, 'hand-over', claimed(claim)))) === 'handed_over'
}

/** Whether a claim still holds. A worker that slept past its lease asks this. */
export async function holdsClaim(ledger: Ledger, claim: Claim): Promise<boolean> {
  const { redis, keys } = ledger
  const run = keys.run(claim.jobId, claim.index)
  const [state, epoch, nonce] = await redis.hmget(run, 'state', 'epoch', 'nonce')
  const isHeld = state === 'connecting' || state === 'running'
  return isHeld && epoch === String(claim.epoch) && nonce === claim.nonce
}

const AppendAnswer = z.enum(['ok', 'fenced', 'gap', 'full', 'unmarked'])
type AppendAnswer = z.infer<typeof AppendAnswer>

/**
 * Stores output while the command runs: bytes of the `head` of a stream at their offset, or its present `tail` instead
 * of the tail that is stored. Stores nothing when the claim no longer holds (`fenced`), when Redis has forgotten bytes
 * of the head before these (`gap`) or the dispatch mark of this claim (`unmarked`), or when Redis is `full`.
 */
export async function appendOutput(
  ledger: Ledger,
  claim: Claim,
  part: { stream: OutputStream; side: 'head' | 'tail'; offset: number; bytes: Buffer },
): Promise<AppendAnswer> {
  const { jobId, index } = claim
  const { stream, side, offset, bytes } = part
  const stored = ledger.keys[side](jobId, index, stream)
  const given = { stored, stream, side, offset, bytes, ...claimed(claim) }
  return AppendAnswer.parse(await runScript(ledger, 'append', given))
}

/**
 * What tells a claim from all others, for the scripts that act for it. Spread it last: V8 takes twenty times as long
 * for an object whose literal begins with a spread.
 */
export function claimed({ jobId, index, epoch, nonce }: Claim) {
  return { jobId, index, epoch, nonce }
}
