/**
 * Runs a command detached on its host: one worker starts and follows it; when that worker leaves, another one takes the
 * run over. durable-follow.ts follows it.
 *
 * If the host cannot hold a detached command, the command runs attached, and a notice of the run says so.
 */
import { fallBackToAttached } from '@muster/ledger'
import type { HeldRun } from '../hold/held-runs.ts'
import type { ReadySpec } from '../hold/job-secrets.ts'
import { patiently } from '../hold/patience.ts'
import { type EndAndCleanUp, mayHaveRun } from '../hold/run-end.ts'
import type { Dispatched } from '../reach/reach-and-dispatch.ts'
import { type DurableDeps, followToEnd, patienceOf } from './durable-follow.ts'
import { runAttached } from './run-attached.ts'

/** Starts the command and follows it to its end. */
export async function runDurable(
  deps: DurableDeps,
  run: HeldRun,
  spec: ReadySpec,
  dispatched: Dispatched,
): Promise<EndAndCleanUp> {
  const followed = await followToEnd(deps, run, spec, { startedAgoMs: 0, dispatched })
  if (!('notDurable' in followed)) return followed
  const notice = `durable mode was not possible, so the command ran attached: ${spec.scrub(followed.notDurable)}`
  const isOurs = await patiently(() => fallBackToAttached(deps.ledger, run.claim, notice), patienceOf(deps))
  if (isOurs) return await runAttached(deps, run, spec, dispatched)
  dispatched.checkout.connection.close()
  return { end: 'not ours' }
}

/** Takes over a run that another worker started, and follows it to its end. */
export async function takeOver(
  deps: DurableDeps,
  run: HeldRun,
  spec: ReadySpec,
  startedAgoMs: number,
): Promise<EndAndCleanUp> {
  const followed = await followToEnd(deps, run, spec, { startedAgoMs, dispatched: undefined })
  if (!('notDurable' in followed)) return followed
  return { end: mayHaveRun('result_missing', 'the host no longer holds what was started there') }
}
