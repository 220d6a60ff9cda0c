/**
 * The Lua scripts against a model: any order of submits, claims, dispatches, ends, cancels and dead workers leaves
 * the ledger in the state that the model says, with counts that add up and every run in one state.
 */
import { isTerminalRun, type RunState, TerminalRunState } from '@muster/contract'
import {
  type Claim,
  cancelJob,
  claimRun,
  dispatchRun,
  findJob,
  finishRun,
  type Ledger,
  listRuns,
  type RunEnd,
  sweep,
} from '@muster/ledger'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openTestLedger, submitTo } from '../support/ledger.ts'

type ModelRun = { state: RunState; attempt: number; worker?: string; claim?: Claim }
type Model = { runs: ModelRun[]; concurrency: number; cancelled: boolean; stale: Claim[] }
type Real = { ledger: Ledger; jobId: string }

const HELD: ReadonlySet<RunState> = new Set(['queued', 'connecting', 'running'])

/** What release does: pending runs go, in order, up to the fan-out. */
function release(model: Model): void {
  if (model.cancelled) return
  for (const run of model.runs) {
    if (model.runs.filter(({ state }) => HELD.has(state)).length >= model.concurrency) return
    if (run.state === 'pending') Object.assign(run, { state: 'queued', attempt: 1 })
  }
}

function endOf(state: TerminalRunState): RunEnd {
  const remote = { unreachable: 'not_started', lost: 'unknown' } as const
  const known = state === 'unreachable' || state === 'lost' ? remote[state] : 'ended'
  return { state, remote: known, reason: null, detail: null, exitCode: null, signal: null }
}

/** One step picks a run by number; a number beyond the list wraps around, so that shrinking works. */
const pick = fc.nat(11)

class Step implements fc.AsyncCommand<Model, Real> {
  readonly #name: string
  readonly #act: (model: Model, real: Real) => Promise<void>
  constructor(name: string, act: (model: Model, real: Real) => Promise<void>) {
    this.#name = name
    this.#act = act
  }
  check(): boolean {
    return true
  }
  async run(model: Model, real: Real): Promise<void> {
    await this.#act(model, real)
    await compare(model, real)
  }
  toString(): string {
    return this.#name
  }
}

async function compare(model: Model, { ledger, jobId }: Real): Promise<void> {
  const job = await findJob(ledger, jobId)
  const page = await listRuns(ledger, jobId, { limit: 1_000 })
  expect(page?.runs.map(({ state }) => state)).toEqual(model.runs.map(({ state }) => state))
  for (const [state, count] of Object.entries(job?.counts ?? {})) {
    expect([state, count]).toEqual([state, model.runs.filter((run) => run.state === state).length])
  }
  expect(job?.state).toBe(jobStateOf(model))
}

function jobStateOf(model: Model): string {
  const ended = model.runs.every(({ state }) => isTerminalRun(state))
  const succeeded = model.runs.filter(({ state }) => state === 'succeeded').length
  if (!ended) {
    if (model.cancelled) return 'cancelling'
    return model.runs.some(({ claim }) => claim !== undefined) ? 'running' : 'queued'
  }
  if (succeeded === model.runs.length) return 'succeeded'
  if (model.cancelled && model.runs.some(({ state }) => state === 'cancelled')) return 'cancelled'
  return succeeded === 0 ? 'failed' : 'partial'
}

/** True once in so many steps: a cancel, or a stale ticket, soon ends the story that the other steps tell. */
const oneIn = (n: number) => fc.nat(n - 1).map((value) => value === 0)

const steps = [
  fc.tuple(pick, oneIn(5)).map(
    ([n, asStale]) =>
      new Step(`claim(${n}${asStale ? ', with an old ticket' : ''})`, async (model, { ledger, jobId }) => {
        const index = n % model.runs.length
        const run = model.runs[index]
        if (run === undefined) return
        const attempt = asStale ? run.attempt + 1 : Math.max(1, run.attempt)
        const worker = `w${n % 3}`
        await ledger.redis.set(ledger.keys.worker(worker), 1)
        const claim = await claimRun(ledger, { job_id: jobId, index, host: `h${index}`, attempt }, worker)
        expect(claim !== undefined).toBe(run.state === 'queued' && !asStale)
        if (claim === undefined) return
        if (run.claim !== undefined) model.stale.push(run.claim)
        Object.assign(run, { state: 'connecting', claim, worker })
      }),
  ),
  pick.map(
    (n) =>
      new Step(`dispatch(${n})`, async (model, { ledger }) => {
        const run = model.runs[n % model.runs.length]
        if (run?.claim === undefined) return
        const answer = await dispatchRun(ledger, run.claim, 1)
        // Sent again, as after a lost reply, the mark is still its own.
        if (run.state === 'running') expect(answer).toBe('go')
        else if (run.state !== 'connecting') expect(answer).toBe('fenced')
        else expect(answer).toBe(model.cancelled ? 'cancelled' : 'go')
        if (answer === 'go') run.state = 'running'
      }),
  ),
  fc.tuple(pick, fc.constantFrom(...TerminalRunState.options)).map(
    ([n, state]) =>
      new Step(`finish(${n}, ${state})`, async (model, { ledger }) => {
        const run = model.runs[n % model.runs.length]
        if (run?.claim === undefined) return
        const applied = await finishRun(ledger, run.claim, endOf(state))
        expect(applied).toBe(run.state === 'connecting' || run.state === 'running')
        if (!applied) return
        run.state = state
        release(model)
      }),
  ),
  pick.map(
    (n) =>
      new Step(`a fenced worker acts(${n})`, async (model, { ledger }) => {
        const claim = model.stale[n % Math.max(1, model.stale.length)]
        if (claim === undefined) return
        expect(await finishRun(ledger, claim, endOf('succeeded'))).toBe(false)
        expect(await dispatchRun(ledger, claim, 1)).toBe('fenced')
      }),
  ),
  pick.map(
    (n) =>
      new Step(`worker w${n % 3} dies`, async (model, { ledger }) => {
        const worker = `w${n % 3}`
        await ledger.redis.del(ledger.keys.worker(worker))
        await sweep(ledger)
        for (const run of model.runs) {
          if (run.worker !== worker || run.claim === undefined) continue
          if (run.state !== 'connecting' && run.state !== 'running') continue
          model.stale.push(run.claim)
          if (run.state === 'running') run.state = 'lost'
          else if (model.cancelled) run.state = 'cancelled'
          else Object.assign(run, { state: 'queued', attempt: run.attempt + 1 })
        }
        release(model)
      }),
  ),
  oneIn(6).map(
    (isMeant) =>
      new Step(isMeant ? 'cancel' : 'nothing', async (model, { ledger, jobId }) => {
        if (!isMeant) return
        const ended = model.runs.every(({ state }) => isTerminalRun(state))
        expect(await cancelJob(ledger, jobId)).toBe(true)
        if (ended) return
        model.cancelled = true
        for (const run of model.runs) if (run.state === 'pending' || run.state === 'queued') run.state = 'cancelled'
      }),
  ),
]

test('any order of steps leaves the ledger as the model says', async () => {
  const ledger = await openTestLedger()
  const setup = fc.record({ hosts: fc.integer({ min: 1, max: 6 }), concurrency: fc.integer({ min: 1, max: 7 }) })
  await fc.assert(
    fc.asyncProperty(
      setup,
      fc.commands(steps, { maxCommands: 60, size: 'max' }),
      async ({ hosts, concurrency }, commands) => {
        const jobId = await submitTo(ledger, hosts, { concurrency })
        const runs = Array.from({ length: hosts }, (): ModelRun => ({ state: 'pending', attempt: 0 }))
        const model: Model = { runs, concurrency, cancelled: false, stale: [] }
        release(model)
        await fc.asyncModelRun(() => ({ model, real: { ledger, jobId } }), commands)
        // The next case has a ledger to itself: this job must not be swept any more.
        await ledger.redis.del(ledger.keys.active)
      },
    ),
    { numRuns: 100 },
  )
}, 120_000)
