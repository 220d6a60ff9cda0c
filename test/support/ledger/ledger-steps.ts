/**
 * The steps of the model test: each is an event for the state machine and the same in Redis, and compares the two. A
 * Redis may forget: then it is put back to what it was some steps ago, as after a failover, and the workers know more.
 */
import { isDeepStrictEqual } from 'node:util'
import { isTerminalRun, RunState } from '@muster/contract'
import {
  type Claim,
  cancelJob,
  claimRun,
  dispatchRun,
  finishRun,
  handOver,
  holdsClaim,
  type Ledger,
  resumeJob,
  setConcurrency,
} from '@muster/ledger'
import fc from 'fast-check'
import { expect } from 'vitest'
import { z } from 'zod'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { type Memory, takeMemory } from './forgetful.ts'
import { jobStateOf, type MachineEnd, type MachineJob } from './machine-job.ts'
import { type MachineEvent, step } from './state-machine.ts'

const Hash = z.record(z.string(), z.string())

const WORKERS = ['w0', 'w1', 'w2'] as const
const NOW = { ticketGraceMs: 3_600_000, suspectMs: 0, claimNamedMs: 3_600_000 }

/** The job as it should be, and all claims that workers were given, also those that Redis has forgotten. */
export type Model = { job: MachineJob; readonly claims: Map<number, Claim[]>; readonly ends: Set<string> }
/** `past`: what Redis held after each step, with the job of the model; only where it may forget. */
export type Real = {
  readonly ledger: Ledger
  readonly jobId: string
  readonly prefix: string
  readonly past?: { readonly job: MachineJob; readonly memory: Memory }[]
}

/** Does a step. Says whether there was anything to do: a claim to end, say. */
type Act = (model: Model, real: Real) => Promise<boolean>

/** One step: an event for the state machine, made from what the model is like at that time, and the same in Redis. */
class Step implements fc.AsyncCommand<Model, Real> {
  readonly #name: string
  readonly #act: Act
  constructor(name: string, act: Act) {
    this.#name = name
    this.#act = act
  }
  check(): boolean {
    return true
  }
  async run(model: Model, real: Real): Promise<void> {
    if (real.past?.length === 0) real.past.push(await remembered(model, real))
    if (!(await this.#act(model, real))) return
    steps += 1
    await compare(model.job, real)
    if (real.past === undefined) return
    real.past.push(await remembered(model, real))
    await expectOneHolder(model, real)
  }
  toString(): string {
    return this.#name
  }
}
let steps = 0
/** How many steps were taken that had anything to do. */
export const stepCount = () => steps

/** Of all claims on a run, also the forgotten ones, one at most may still change it. */
async function expectOneHolder(model: Model, { ledger }: Real): Promise<void> {
  for (const claims of model.claims.values()) {
    const holds = await Promise.all(claims.map((claim) => holdsClaim(ledger, claim)))
    expect(holds.filter((isHeld) => isHeld).length).toBeLessThanOrEqual(1)
  }
}

/** All that Redis holds of the job but its tickets, which may come twice, and the leases, which are renewed. */
async function remembered({ job }: Model, { ledger, jobId, prefix }: Real) {
  const { keys } = ledger
  const ofJob = ['', ':hosts', ':open', ':wrong', ':errors', ':noticed', ':resting', ':host-keys', ':twins'].map(
    (end) => keys.job(jobId) + end,
  )
  const ofRuns = job.runs.flatMap((_, index) => {
    const places = `${keys.base}:host:${prefix}${index}:change`
    return [keys.run(jobId, index), places, `${places}:waiting`]
  })
  return { job, memory: await takeMemory(ledger.redis, [...ofJob, ...ofRuns, keys.active, `${keys.base}:in-flight`]) }
}

function advance(model: Model, event: MachineEvent): string {
  const { job, answer } = step(model.job, event)
  model.job = job
  return answer
}

async function compare(job: MachineJob, { ledger, jobId }: Real): Promise<void> {
  const { redis, keys } = ledger
  const hashes = [keys.job(jobId), ...job.runs.map((_, index) => keys.run(jobId, index))]
  const [stored = {}, ...runs] = await hashesOf(redis, hashes)
  const restFrom = Number(stored.rest_from ?? job.runs.length)
  const seen = runs.map((run, index) =>
    run.state === undefined
      ? { state: index < restFrom ? 'pending' : stored.rest_state, attempt: 0, epoch: 0 }
      : {
          state: run.state,
          attempt: Number(run.attempt),
          epoch: Number(run.epoch),
          remote: run.remote,
          reason: run.reason ?? '',
          worker: isTerminalRun(RunState.parse(run.state)) ? undefined : run.worker || undefined,
          hasLateResult: run.late_result !== undefined,
        },
  )
  const wanted = job.runs.map((run, index) =>
    runs[index]?.state === undefined
      ? { state: run.state, attempt: run.attempt, epoch: run.epoch }
      : {
          state: run.state,
          attempt: run.attempt,
          epoch: run.epoch,
          remote: run.remote,
          reason: run.reason,
          worker: isTerminalRun(run.state) ? undefined : run.worker,
          hasLateResult: run.hasLateResult,
        },
  )
  const counts = (count: (state: RunState) => number) => RunState.options.map((state) => `${state} ${count(state)}`)
  // One comparison, and the fast one first, as tens of thousands of steps come here.
  const found = { job: stored.state, runs: seen, counts: counts((state) => Number(stored[`n:${state}`] ?? 0)) }
  const expected = {
    job: jobStateOf(job),
    runs: wanted,
    counts: counts((state) => job.runs.filter((run) => run.state === state).length),
  }
  if (!isDeepStrictEqual(found, expected)) expect(found).toEqual(expected)
}

/** The hashes at some keys, read in one round trip. */
async function hashesOf(redis: Ledger['redis'], keys: readonly string[]): Promise<Record<string, string>[]> {
  const pipeline = redis.pipeline()
  for (const key of keys) pipeline.hgetall(key)
  const answers = (await pipeline.exec()) ?? []
  return answers.map(([error, hash]) => {
    if (error !== null) throw error
    return Hash.parse(hash)
  })
}

/** One step picks a run by number; a number beyond the list wraps around, so that shrinking works. */
const pick = fc.nat(11)
const at = (model: Model, n: number) => n % model.job.runs.length
/** True once in so many steps: a cancel, or a stale ticket, soon ends the story that the other steps tell. */
const oneIn = (n: number) => fc.nat(n - 1).map((value) => value === 0)
/** The newest claim of a run, or an old one that may have been fenced off. */
const claimOf = (model: Model, index: number, isOld: boolean) => {
  const claims = model.claims.get(index) ?? []
  return isOld ? claims[0] : claims.at(-1)
}

const ENDS: readonly MachineEnd[] = [
  { state: 'succeeded', remote: 'ended', reason: '', exitCode: 0, isRetryable: false },
  { state: 'failed', remote: 'ended', reason: 'exit_nonzero', exitCode: 75, isRetryable: false },
  { state: 'failed', remote: 'ended', reason: 'exit_nonzero', exitCode: 3, isRetryable: false },
  { state: 'failed', remote: 'not_started', reason: 'sudo_denied', exitCode: null, isRetryable: false },
  { state: 'timed_out', remote: 'ended', reason: 'exec_timeout', exitCode: null, isRetryable: false },
  { state: 'timed_out', remote: 'ended', reason: 'job_timeout', exitCode: null, isRetryable: false },
  { state: 'lost', remote: 'unknown', reason: 'conn_lost', exitCode: null, isRetryable: false },
  { state: 'unreachable', remote: 'not_started', reason: 'conn_refused', exitCode: null, isRetryable: true },
  { state: 'unreachable', remote: 'not_started', reason: 'auth_failed', exitCode: null, isRetryable: false },
  { state: 'cancelled', remote: 'ended', reason: 'cancelled_by_user', exitCode: null, isRetryable: false },
]

/** Everything that may happen to a job whose Redis forgets nothing. */
export const commands = [
  fc.tuple(pick, oneIn(6)).map(
    ([n, isStale]) =>
      new Step(`claim(${n}${isStale ? ', with an old ticket' : ''})`, async (model, { ledger, jobId, prefix }) => {
        const index = at(model, n)
        const run = model.job.runs[index]
        const ticket = { attempt: Math.max(1, (run?.attempt ?? 1) + (isStale ? 1 : 0)), reissue: run?.reissue ?? 0 }
        const worker = WORKERS[n % 3] ?? 'w0'
        await ledger.redis.set(ledger.keys.worker(worker), 1)
        const claim = await claimRun(ledger, { job_id: jobId, index, host: `${prefix}${index}`, ...ticket }, worker)
        const nonce = claim?.nonce ?? ''
        const answer = advance(model, { kind: 'claim', index, worker, nonce, ...ticket })
        expect(claim !== undefined).toBe(answer === 'start' || answer === 'attach')
        if (claim === undefined) return true
        expect(claim.startedAgoMs !== undefined).toBe(answer === 'attach')
        model.claims.set(index, [...(model.claims.get(index) ?? []), claim])
        return true
      }),
  ),
  fc.tuple(pick, oneIn(4), fc.boolean()).map(
    ([n, isOld, isDurable]) =>
      new Step(`dispatch(${n}${isOld ? ', by an old claim' : ''})`, async (model, { ledger }) => {
        const index = at(model, n)
        const claim = claimOf(model, index, isOld)
        if (claim === undefined) return false
        const wanted = advance(model, { kind: 'dispatch', ...claim, isDurable })
        const mode = isDurable ? ('durable' as const) : ('attached' as const)
        const answer = await dispatchRun(ledger, claim, { connectMs: 1, mode })
        const told = answer.word === 'over' ? `over ${answer.state} ${answer.reason}` : answer.word
        expect(told).toBe(wanted)
        return true
      }),
  ),
  fc.tuple(pick, oneIn(4), fc.constantFrom(...ENDS)).map(
    ([n, isOld, end]) =>
      new Step(`finish(${n}, ${end.state} ${end.reason}${isOld ? ', by an old claim' : ''})`, async (model, real) => {
        const index = at(model, n)
        const claim = claimOf(model, index, isOld)
        if (claim === undefined) return false
        const wanted = advance(model, { kind: 'finish', ...claim, end })
        const reason = end.reason === '' ? null : end.reason
        const isHeld = await holdsClaim(real.ledger, claim)
        const word = await finishRun(real.ledger, claim, { ...end, reason, detail: null, signal: null })
        expect(word).toBe(wanted)
        if (word === 'fenced') return true
        // The end of one claim is never taken for that of another.
        expect(isHeld || model.ends.has(claim.nonce)).toBe(true)
        model.ends.add(claim.nonce)
        return true
      }),
  ),
  fc.tuple(pick, oneIn(4)).map(
    ([n, isOld]) =>
      new Step(`hand over(${n})`, async (model, { ledger }) => {
        const index = at(model, n)
        const claim = claimOf(model, index, isOld)
        if (claim === undefined) return false
        const wanted = advance(model, { kind: 'hand_over', ...claim })
        expect(await handOver(ledger, claim)).toBe(wanted === 'handed_over')
        return true
      }),
  ),
  pick.map(
    (n) =>
      new Step(`worker w${n % 3} dies`, async (model, { ledger }) => {
        const worker = WORKERS[n % 3] ?? 'w0'
        await ledger.redis.del(ledger.keys.worker(worker))
        advance(model, { kind: 'worker_dies', worker })
        await sweep(ledger, NOW)
        return true
      }),
  ),
  fc.tuple(oneIn(3), oneIn(4), fc.uniqueArray(pick, { minLength: 1, maxLength: 3 })).map(
    ([isMeant, isWhole, some]) =>
      new Step(isMeant ? `cancel ${isWhole ? 'all' : some}` : 'nothing', async (model, { ledger, jobId, prefix }) => {
        if (!isMeant) return false
        const indexes = [...new Set(some.map((n) => at(model, n)))]
        advance(model, isWhole ? { kind: 'cancel' } : { kind: 'cancel', indexes })
        const hosts = indexes.map((index) => `${prefix}${index}`)
        expect(await cancelJob(ledger, jobId, isWhole ? undefined : hosts)).toBe(true)
        return true
      }),
  ),
  oneIn(2).map(
    (isMeant) =>
      new Step(isMeant ? 'resume' : 'nothing', async (model, { ledger, jobId }) => {
        if (!isMeant) return false
        const wanted = advance(model, { kind: 'resume' })
        expect(await resumeJob(ledger, jobId)).toBe(wanted)
        return true
      }),
  ),
  fc.tuple(oneIn(3), fc.integer({ min: 1, max: 4 })).map(
    ([isMeant, concurrency]) =>
      new Step(isMeant ? `concurrency ${concurrency}` : 'nothing', async (model, { ledger, jobId }) => {
        if (!isMeant) return false
        const wanted = advance(model, { kind: 'set_concurrency', concurrency })
        expect(await setConcurrency(ledger, jobId, concurrency)).toBe(wanted)
        return true
      }),
  ),
  fc.constantFrom('start_deadline', 'job_timeout', '', '', '', '', '', '').map(
    (kind) =>
      new Step(kind === '' ? 'time passes' : `${kind} is over`, async (model, { ledger, jobId }) => {
        if (kind !== 'start_deadline' && kind !== 'job_timeout') return false
        advance(model, { kind })
        const field = kind === 'start_deadline' ? 'start_deadline' : 'job_deadline'
        await ledger.redis.hset(ledger.keys.job(jobId), field, 1)
        await sweep(ledger, NOW)
        return true
      }),
  ),
]

/** The key of the job is revoked. Only where Redis forgets nothing: the test could not tell whether it forgot that. */
export const revoke = oneIn(4).map(
  (isMeant) =>
    new Step(isMeant ? 'the key is revoked' : 'nothing', async (model, { ledger, prefix }) => {
      if (!isMeant) return false
      advance(model, { kind: 'key_revoked' })
      await ledger.redis.hdel(ledger.keys.apiKeys, keyOf(prefix))
      await sweep(ledger, NOW)
      return true
    }),
)

/** The ID of the key of a case. */
export function keyOf(prefix: string): string {
  return prefix.replaceAll('-', '')
}

/** Redis forgets the last steps, one to four. The workers live, and remember what they were told. */
export const forget = fc.tuple(oneIn(2), fc.integer({ min: 1, max: 4 })).map(
  ([isMeant, count]) =>
    new Step(isMeant ? `forget ${count} steps` : 'nothing', async (model, { ledger, past = [] }) => {
      if (!isMeant) return false
      past.splice(Math.max(1, past.length - count))
      const before = past.at(-1)
      if (before === undefined) throw new Error('nothing happened yet that could be forgotten')
      model.job = before.job
      await before.memory.restore()
      for (const worker of WORKERS) await ledger.redis.set(ledger.keys.worker(worker), 1)
      return true
    }),
)
