/**
 * What a worker does to a run, step by step. Each is a compare-and-set on the epoch and the nonce of its claim, so a worker
 * whose claim was taken away changes nothing any more.
 *
 *   queued ──claimRun──► connecting ──dispatchRun──► running ──finishRun──► terminal, or retry_wait
 *                             └──────────finishRun (never started)─────────────┘
 *   running (durable) ──handOver──► nobody's ──claimRun──► running
 *
 * Knows nothing of SSH, and starts nothing by itself. How a run ends is in finish-run.ts.
 */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type OutputStream, Reason, type RunMode, TerminalRunState } from '@muster/contract'
import { z } from 'zod'
import { LEASE_MS } from '../redis/ledger-time.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { CLAIMED_FIELDS } from '../redis/script-table.ts'
import { runScript } from '../redis/scripts.ts'
import { releaseTickets } from '../tickets/release-tickets.ts'
import type { Ticket } from '../tickets/ticket.ts'

/**
 * A run that this worker holds. `epoch` fences off every earlier claim on it, and `nonce` one that Redis forgot: after a
 * failover the same epoch may be given out again.
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
  /** Absent: the command is to be started. Else it was started so long ago, is durable, and goes on at its host. */
  readonly startedAgoMs?: number
  /** Time left for the whole job, from the claim on. Absent: no limit. */
  readonly jobLeftMs?: number
  /** How long the command may take, as of now. */
  readonly execTimeoutMs: number
}

const Answer = z.array(z.string()).min(1)
/** 96 bits: a job has at most some ten thousand host keys. */
const KEY_DIGEST_CHARS = 16

const optionalMs = z.string().transform((text) => (text === '' ? undefined : Number(text)))
const Claimed = z.object({
  epoch: z.coerce.number(),
  host: z.string(),
  started_ago_ms: optionalMs,
  job_left_ms: optionalMs,
  exec_timeout_ms: z.coerce.number(),
})

/** A digest of what would be tried at a host: to reach it, or to log in. Undefined when that is not known. */
export type TriedWith = (host: string, kind: 'connect' | 'auth') => Promise<string | undefined>

/**
 * Takes the run a ticket asks for. Undefined when there is nothing to do: someone holds it, it has ended, it must not
 * start any more, or the ticket is of an earlier attempt. Then the ticket is done with; the sweep watches over whoever
 * holds the run. An open breaker does not hold off what has not failed yet, as `triedWith` tells; without it, all.
 */
export async function claimRun(
  ledger: Ledger,
  ticket: Ticket,
  worker: string,
  triedWith?: TriedWith,
): Promise<Claim | undefined> {
  const { job_id: jobId, index, attempt, resume } = ticket
  const nonce = randomBytes(6).toString('base64url')
  const ask = async (tried: string) => {
    const given = { jobId, index, attempt, resume, worker, nonce, tried }
    return Answer.parse(await runScript(ledger, 'claim', given))
  }
  let answer = await ask(triedWith === undefined ? '-' : '')
  if (answer[0] === 'tried with') {
    const [word, host = '', kind, ...tickets] = answer
    await releaseTickets(ledger, [word, ...tickets])
    answer = await ask((await triedWith?.(host, kind === 'auth' ? 'auth' : 'connect')) ?? '-')
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
    execTimeoutMs: told.exec_timeout_ms,
    ...(startedAgoMs === undefined ? {} : { startedAgoMs }),
    ...(jobLeftMs === undefined ? {} : { jobLeftMs }),
  }
}

/** What a worker is told that asks to send a command. */
export type DispatchAnswer =
  /** Send it, before `performance.now()` reaches `sendBeforeMs`; later the lease may have run out. */
  | { readonly word: 'go'; readonly sendBeforeMs: number }
  /** It must not start any more; finish the run so, as never started. */
  | { readonly word: 'over'; readonly state: TerminalRunState; readonly reason: Reason }
  /** The claim is not ours any more: do nothing. */
  | { readonly word: 'fenced' }
  /** The lease has run out: finish the run as never started. */
  | { readonly word: 'no_lease' }

/** Longer than it takes a worker that lives to renew its lease, after Redis' clock was set ahead. */
const NO_LEASE_MS = 4_000
const ASK_AGAIN_MS = 200

type DispatchOptions = {
  readonly connectMs: number
  readonly mode: RunMode
  readonly hostKey?: Buffer
  readonly notice?: string
}

/**
 * Writes the dispatch mark; only after `go` may the command be sent. Hosts of a job with one `hostKey` are told of in its
 * notices; absent: nothing is said of the key. `notice` is what else there is to tell of
 * the connection. A lease that has run out is waited for: it may be about to be renewed.
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
  const { connectMs, mode, hostKey, notice = '' } = options
  const keyDigest = hostKey === undefined ? '' : createHash('sha256').update(hostKey).digest('base64url')
  const askedMs = performance.now()
  const answer = await runScript(ledger, 'dispatch', {
    ...claimed(claim),
    connectMs: Math.round(connectMs),
    mode,
    hostKey: keyDigest.slice(0, KEY_DIGEST_CHARS),
    notice,
  })
  const [word, first, second] = Answer.parse(answer)
  if (word === 'go') {
    const leaseMs = Number(first)
    // -1: a lease that does not run out. One that lasts longer than any does is from before Redis' clock was set back.
    return { word, sendBeforeMs: leaseMs === -1 ? Number.POSITIVE_INFINITY : askedMs + Math.min(leaseMs, LEASE_MS) }
  }
  if (word === 'over') return { word, state: TerminalRunState.parse(first), reason: Reason.parse(second) }
  return { word: z.enum(['fenced', 'no_lease']).parse(word) }
}

/** Says that a run that was to be durable is attached, before it is sent. False when the claim is not ours any more. */
export async function fallBackToAttached(ledger: Ledger, claim: Claim, notice: string): Promise<boolean> {
  return (await runScript(ledger, 'fall-back', { ...claimed(claim), notice })) === 'ok'
}

/** Hands a durable run that goes on at its host to another worker. False when the claim is not ours any more. */
export async function handOver(ledger: Ledger, claim: Claim): Promise<boolean> {
  return (await releaseTickets(ledger, await runScript(ledger, 'hand-over', claimed(claim)))) === 'handed_over'
}

/** Whether a claim still holds: a worker that slept past its lease asks. */
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
 * Stores output while the command runs: bytes of the `head` of a stream at their offset, or its present `tail`, in place
 * of what was stored of the tail before. Nothing was stored when the claim is not ours any more (`fenced`), when Redis has
 * forgotten bytes of the head before these (`gap`) or the dispatch mark of this claim (`unmarked`), or when it is `full`.
 */
export async function appendOutput(
  ledger: Ledger,
  claim: Claim,
  part: { stream: OutputStream; place: 'head' | 'tail'; offset: number; bytes: Buffer },
): Promise<AppendAnswer> {
  const { jobId, index } = claim
  const { stream, place, offset, bytes } = part
  const stored = ledger.keys[place](jobId, index, stream)
  const given = { ...claimed(claim), stored, stream, place, offset, bytes }
  return AppendAnswer.parse(await runScript(ledger, 'append', given))
}

/** What tells a claim from all others, for the scripts that act for it. */
export function claimed({ jobId, index, epoch, nonce }: Claim) {
  return { jobId, index, epoch, nonce }
}
