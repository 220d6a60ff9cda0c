/**
 * Everything before the command is sent: finding the host, connecting, and the dispatch mark. All of it may fail
 * without the host having done anything, so whatever ends here has not started.
 */
import type { JobSpec } from '@muster/contract'
import { dispatchRun } from '@muster/ledger'
import { connect, type RemoteCommand, type SshConnection } from '@muster/ssh'
import { commandOf, sudoOf, wantsSudo } from './command-of.ts'
import type { HeldRun } from './held-runs.ts'
import { neverStarted } from './run-ending.ts'
import type { Outcome, TicketDeps } from './run-ticket.ts'

/** What holds once the dispatch mark is written: from here on the command may run. */
export type Dispatched = {
  readonly connection: SshConnection
  readonly command: RemoteCommand
  /** Whether the command may still be sent: later, the lease may have run out and the run be another worker's. */
  readonly maySend: () => boolean
}

/** Reaches the host and writes the dispatch mark, or says how the run ended without it. */
export async function reachAndDispatch(
  deps: TicketDeps,
  run: HeldRun,
  spec: JobSpec,
): Promise<Dispatched | { readonly end: Outcome }> {
  const startedMs = performance.now()
  const found = await deps.hosts.find(run.claim.host, { withSudo: wantsSudo(spec) })
  if ('reason' in found) return { end: neverStarted(found.state, found.reason, found.detail) }
  const timeoutMs = spec.connect_timeout_s * 1_000
  const reached = await connect(found.host, { knownHosts: deps.knownHosts, timeoutMs, signal: run.signal })
  if (!reached.ok) return { end: endWithoutConnection(run, reached) }
  const { connection } = reached
  try {
    const mode = spec.durable ? 'durable' : 'attached'
    const mark = await dispatchRun(deps.ledger, run.claim, { connectMs: performance.now() - startedMs, mode })
    if (mark.word === 'go') {
      const command = commandOf(spec, sudoOf(spec, found.sudoPassword))
      return { connection, command, maySend: () => performance.now() < mark.sendBeforeMs }
    }
    connection.close()
    return { end: endWithoutMark(mark) }
  } catch (error) {
    connection.close()
    throw error
  }
}

function endWithoutConnection(
  run: HeldRun,
  { reason, detail, isRetryable }: { reason: Parameters<typeof neverStarted>[1]; detail: string; isRetryable: boolean },
): Outcome {
  switch (run.stopCause()) {
    case 'cancelled_by_user':
      return neverStarted('cancelled', 'cancelled_by_user', null)
    case 'job_timeout':
      return neverStarted('skipped', 'job_timeout', null)
    case 'shutdown':
    case 'fenced':
      // A worker that has to go leaves the run as it is: its lease ends with it, and the sweep queues the run again.
      return 'not ours'
    case undefined:
      return neverStarted('unreachable', reason, detail, isRetryable)
    default:
      throw new Error('there is no other cause')
  }
}

function endWithoutMark(mark: Exclude<Awaited<ReturnType<typeof dispatchRun>>, { word: 'go' }>): Outcome {
  switch (mark.word) {
    case 'fenced':
      return 'not ours'
    case 'over':
      return neverStarted(mark.state, mark.reason, null)
    case 'no_lease': {
      // The worker was away for so long that the run might have become another's.
      const detail = 'the lease of the worker ran out before the command was sent'
      return neverStarted('unreachable', 'worker_lost', detail, true)
    }
    default:
      return mark satisfies never
  }
}
