/**
 * The Lua scripts against the state machine: any order of claims, dispatches, ends, cancels, clocks and dead workers
 * leaves Redis as the pure function says, with counts that add up and every run in one state. Over 20,000 steps. The
 * same with a Redis that forgets its last steps, while the workers remember them.
 */
import type { Ledger } from '@muster/ledger'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'
import { commands, forget, keyOf, type Model, type Real, revoke, stepCount } from '../../support/ledger/ledger-steps.ts'
import { acceptedJob } from '../../support/ledger/machine-job.ts'

const RUNS = 1_100
const FORGETFUL_RUNS = 150
const STEPS_PER_RUN = 110

const setup = fc.record({
  hosts: fc.integer({ min: 1, max: 6 }),
  concurrency: fc.integer({ min: 1, max: 7 }),
  retries: fc.nat(2),
  retry_on: fc.subarray(['lost' as const, 'timed_out' as const, 75]),
  max_errors: fc.integer({ min: 0, max: 6 }),
  batches: fc.option(fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }), { nil: undefined }),
  isGated: fc.boolean(),
})

type Setup = typeof setup extends fc.Arbitrary<infer T> ? T : never
let cases = 0

/** A job as `setup` describes it, in the ledger and in the model. */
async function begin(ledger: Ledger, { hosts, isGated, batches, ...options }: Setup): Promise<Real & { model: Model }> {
  // Hosts of its own, so that no case waits for one that is left; and no circuit breaker, which is tested apart.
  cases += 1
  const prefix = `c${cases}-h`
  const gate = isGated && batches !== undefined ? ('manual' as const) : ('auto' as const)
  const request = { ...options, gate, ...(batches === undefined ? {} : { batches }), retry_backoff_s: 0, force: true }
  await ledger.redis.hset(ledger.keys.apiKeys, keyOf(prefix), '{}')
  const jobId = await submitTo(ledger, hosts, request, prefix, { keyId: keyOf(prefix) })
  const { concurrency, retries, retry_on: retryOn, max_errors: maxErrors } = options
  const job = acceptedJob(hosts, { concurrency, retries, retryOn, maxErrors, batches: batches ?? [], gate })
  return { model: { job, claims: new Map(), ends: new Set() }, ledger, jobId, prefix }
}

test('any order of steps leaves the ledger as the state machine says', async () => {
  const ledger = await openTestLedger()
  const lists = fc.commands([...commands, revoke], { maxCommands: STEPS_PER_RUN, size: 'max' })
  await fc.assert(
    fc.asyncProperty(setup, lists, async (options, list) => {
      const { model, ...real } = await begin(ledger, options)
      await fc.asyncModelRun(() => ({ model, real }), list)
      // The next case has a ledger to itself: this job must not be swept any more.
      await ledger.redis.del(ledger.keys.active)
    }),
    { numRuns: RUNS },
  )
  expect(stepCount()).toBeGreaterThanOrEqual(20_000)
}, 600_000)

test('a Redis that forgets never has two claims that may end a run, nor mixes up their ends', async () => {
  const ledger = await openTestLedger()
  const lists = fc.commands([...commands, forget, forget], { maxCommands: STEPS_PER_RUN, size: 'max' })
  await fc.assert(
    fc.asyncProperty(setup, lists, async (options, list) => {
      const { model, ...real } = await begin(ledger, options)
      await fc.asyncModelRun(() => ({ model, real: { ...real, past: [] } }), list)
      await ledger.redis.del(ledger.keys.active)
    }),
    { numRuns: FORGETFUL_RUNS },
  )
}, 600_000)
