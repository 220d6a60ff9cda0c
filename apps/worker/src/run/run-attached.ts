/**
 * Runs a command that lives with its connection: it is sent once and followed to its end. If the connection is lost,
 * nobody knows how the command ended (run-durable.ts can do better).
 */
import { type ExecEnd, type ExecOptions, exec, sendCommand } from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import type { ReadySpec } from '../hold/job-secrets.ts'
import { type EndAndCleanUp, endedByItself, endOfCommand } from '../hold/run-end.ts'
import type { Dispatched } from '../reach/reach-and-dispatch.ts'
import { checkHealth, endOfStoppedCheck } from './check-health.ts'
import { openWriter, type WriterDeps } from './output-writer.ts'

/** Runs the command. Rejects only for a fault of ours; then the command was killed, or its end is not known. */
export async function runAttached(
  deps: WriterDeps,
  run: HeldRun,
  spec: ReadySpec,
  { checkout, command, ready, maySend, markAgain }: Dispatched,
): Promise<EndAndCleanUp> {
  const { connection } = checkout
  const writer = openWriter(deps, run, { outputLimitBytes: spec.outputLimitBytes, markAgain })
  try {
    const options: ExecOptions = {
      ...spec.limits,
      outputLimitBytes: spec.outputLimitBytes,
      ...(spec.masks !== undefined && { mask: spec.masks.stream }),
      signal: run.signal,
      maySend,
      onRaise: run.onExecTimeout,
      onOutput: (stream, bytes) => writer.write(stream, bytes),
      onTails: (tailOf) => writer.followTails(tailOf),
    }
    const end = await (ready === undefined ? exec(connection, command, options) : sendCommand(ready, options))
    const owned = owningUp(end, run)
    const found = await checkHealth(connection, { run, spec, command, end: owned })
    const checked = found === 'stopped' ? endOfStoppedCheck(run, owned) : found
    // A failed health check may have been killed, and may have left something behind on the connection.
    if (endedByItself(end) && checked.state === owned.state) checkout.release()
    await writer.flush()
    return { end: endOfCommand(checked) }
  } finally {
    writer.stop()
    // Has no effect on a connection that went back to the pool.
    connection.close()
  }
}

/** Corrects the end of a command that this worker killed on its own: nobody cancelled it, so it is not "cancelled". */
function owningUp(end: ExecEnd, run: HeldRun): ExecEnd {
  const cause = run.stoppedBy()
  if (end.reason !== 'cancelled_by_user' || (cause !== 'shutdown' && cause !== 'fenced')) return end
  if (end.remote === 'not_started') return { ...end, state: 'unreachable', reason: 'worker_lost', isRetryable: true }
  const why = cause === 'shutdown' ? 'the worker was stopped' : 'the lease of the worker had run out'
  return { ...end, state: 'lost', reason: 'worker_lost', detail: `${why}, and it killed the command` }
}
