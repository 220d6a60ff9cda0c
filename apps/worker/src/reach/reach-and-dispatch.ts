/**
 * Everything before the command is sent: finding the host, a connection to it, the channel, and the dispatch mark. All
 * of it may fail without the host having done anything, so whatever ends here has not started.
 */
import { CONNECT_TIMEOUT_S } from '@muster/contract'
import { dispatchRun } from '@muster/ledger'
import {
  type Lease,
  leaseAndOpen,
  type NotGreeted,
  type ReadyCommand,
  type Refused,
  type RemoteCommand,
  readyCommand,
  stateWithoutStart,
  tryChannel,
} from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import { neverStarted } from '../hold/run-end.ts'
import type { RunSpec } from '../hold/run-specs.ts'
import type { Outcome, TicketDeps } from '../run-ticket.ts'
import { commandOf, sudoOf, wantsSudo } from './command-of.ts'

/** What holds once the dispatch mark is written: from here on the command may run. */
export type Dispatched = {
  readonly lease: Lease
  readonly command: RemoteCommand
  /** The command, where it lives with its connection, with a channel that waits for it. */
  readonly ready: ReadyCommand | undefined
  /** Whether the command may still be sent: later, the lease may have run out and the run be another worker's. */
  readonly maySend: () => boolean
  /** Writes the mark once more: after a failover Redis may have forgotten it. */
  readonly markAgain: () => Promise<unknown>
}

/** Reaches the host and writes the dispatch mark, or says how the run ended without it. */
export async function reachAndDispatch(
  deps: TicketDeps,
  run: HeldRun,
  spec: RunSpec,
): Promise<Dispatched | { readonly end: Outcome }> {
  const startedMs = performance.now()
  const found = await deps.hosts.find(run.claim.host, { withSudo: wantsSudo(spec) })
  if ('reason' in found) return { end: neverStarted(found.state, found.reason, found.detail) }
  const command = commandOf(spec, sudoOf(spec, found.sudoPassword))
  const limits = { execTimeoutMs: spec.exec_timeout_s * 1_000, killGraceMs: spec.kill_grace_s * 1_000 }
  const open = async (lease: Lease, signal: AbortSignal): Promise<{ ready: ReadyCommand | undefined } | NotGreeted> => {
    // The host itself sees to it that a durable command starts once: it is made ready after the mark.
    const ready = spec.durable
      ? await tryChannel(lease, signal)
      : await readyCommand(lease.connection, command, { ...limits, signal })
    if ('failure' in ready) return ready
    return { ready: 'running' in ready ? ready : undefined }
  }
  const timing = { timeoutMs: spec.connect_timeout_s * 1_000, signal: run.signal, fairKey: run.claim.jobId }
  const reached = await leaseAndOpen(deps.pool, found.host, timing, open)
  if (!reached.ok) return { end: await withTried(deps, run, endWithoutConnection(run, spec, reached)) }
  const { lease, opened } = reached
  const { ready } = opened
  try {
    const mode = spec.durable ? 'durable' : 'attached'
    const { hostKey, notice } = lease.connection
    const connectMs = performance.now() - startedMs
    const writeMark = () => dispatchRun(deps.ledger, run.claim, { connectMs, mode, hostKey, ...(notice && { notice }) })
    const mark = await writeMark()
    if (mark.word === 'go') {
      return { lease, command, ready, maySend: () => performance.now() < mark.sendBeforeMs, markAgain: writeMark }
    }
    ready?.running.channel.close()
    lease.release()
    return { end: endWithoutMark(mark) }
  } catch (error) {
    ready?.running.channel.close()
    lease.connection.close()
    throw error
  }
}

function endWithoutConnection(run: HeldRun, spec: RunSpec, refused: Refused): Outcome {
  const { reason, detail, isRetryable } = refused
  switch (run.stopCause()) {
    case 'cancelled_by_user':
      return neverStarted('cancelled', 'cancelled_by_user', null)
    case 'job_timeout':
      return neverStarted('skipped', 'job_timeout', null)
    case 'error_budget':
      return neverStarted('skipped', 'error_budget', null)
    case 'shutdown':
    case 'fenced':
      // A worker that has to go leaves the run as it is: its lease ends with it, and the sweep queues the run again.
      return 'not ours'
    case undefined:
      return neverStarted(stateWithoutStart(reason), reason, detail, isRetryable, isHostsFault(spec, refused))
    default:
      throw new Error('there is no other cause')
  }
}

/** With a digest of what was tried, where that counts against the host. */
async function withTried(deps: TicketDeps, run: HeldRun, end: Outcome): Promise<Outcome> {
  if (end === 'not ours' || end.isHostsFault !== true) return end
  const tried = await deps.triedWith(run.claim.host, end.reason === 'auth_failed' ? 'auth' : 'connect')
  return tried === undefined ? end : { ...end, tried }
}

/** A host that was given less time than usual is not to blame for it: others give it more. */
function isHostsFault(spec: RunSpec, refused: Refused): boolean {
  const isHurried = refused.reason === 'conn_timeout' && spec.connect_timeout_s < CONNECT_TIMEOUT_S
  return refused.isHostsFault && !isHurried
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
