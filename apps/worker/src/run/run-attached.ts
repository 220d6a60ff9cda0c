/**
 * A command that lives with its connection: sent once, followed to its end. When the connection is lost, nobody knows
 * how it ended (run-durable.ts can do better).
 */

import { type ExecEnd, type ExecOptions, exec, sendCommand } from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import { endedByItself, runEndOf } from '../hold/run-end.ts'
import type { RunSpec } from '../hold/run-specs.ts'
import type { Dispatched } from '../reach/reach-and-dispatch.ts'
import type { CarriedOut, TicketDeps } from '../run-ticket.ts'
import { checkHealth, endOfStoppedCheck } from './check-health.ts'
import { openWriter } from './output-writer.ts'

/** Runs it. Rejects with a fault of ours; the command was then killed, or its end is not known. */
export async function runAttached(
  deps: TicketDeps,
  run: HeldRun,
  spec: RunSpec,
  { lease, command, ready, maySend, markAgain }: Dispatched,
): Promise<CarriedOut> {
  const writer = openWriter(deps, run, spec, markAgain)
  try {
    const options: ExecOptions = {
      execTimeoutMs: spec.exec_timeout_s * 1_000,
      onRaise: run.onExecTimeout,
      killGraceMs: spec.kill_grace_s * 1_000,
      outputLimitBytes: spec.output_limit_bytes,
      signal: run.signal,
      maySend,
      onOutput: (stream, bytes) => writer.write(stream, bytes),
      onTails: (tailOf) => writer.followTails(tailOf),
      ...(spec.idle_timeout_s === undefined ? {} : { idleTimeoutMs: spec.idle_timeout_s * 1_000 }),
    }
    const end = await (ready === undefined ? exec(lease.connection, command, options) : sendCommand(ready, options))
    const owned = owningUp(end, run)
    const found = await checkHealth(lease.connection, { run, spec, sudo: command.sudo, end: owned })
    const checked = found === 'stopped' ? endOfStoppedCheck(run, owned) : found
    // A health check that failed may have been killed, and left something behind.
    if (endedByItself(end) && checked.state === owned.state) lease.release()
    await writer.flush()
    return { outcome: runEndOf(checked) }
  } finally {
    writer.stop()
    // Where it was released, this does nothing.
    lease.connection.close()
  }
}

/** Nobody asked for this command to be stopped, so it is not "cancelled"; whether its work was done, nobody knows. */
function owningUp(end: ExecEnd, run: HeldRun): ExecEnd {
  const isOurStop = run.stopCause() === 'shutdown' || run.stopCause() === 'fenced'
  if (end.reason !== 'cancelled_by_user' || !isOurStop) return end
  if (end.remote === 'not_started') return { ...end, state: 'unreachable', reason: 'worker_lost', isRetryable: true }
  const why = run.stopCause() === 'shutdown' ? 'the worker was stopped' : 'the lease of the worker had run out'
  return { ...end, state: 'lost', reason: 'worker_lost', detail: `${why}, and it killed the command` }
}
