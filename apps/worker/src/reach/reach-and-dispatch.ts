/**
 * Everything before the command is sent: finding the host, connecting to it, opening the channel, and writing the
 * dispatch mark. Nothing of the command is on the host yet, so a run that ends here has not started.
 */
import { CONNECT_TIMEOUT_LIMIT_S, CONNECT_TIMEOUT_S } from '@muster/contract'
import { type DispatchAnswer, dispatchRun, type Ledger, type TriedWith } from '@muster/ledger'
import {
  type Checkout,
  checkOutAndOpen,
  type NotGreeted,
  type Pool,
  type ReadyCommand,
  type Refused,
  type RemoteCommand,
  readyCommand,
  stateWithoutStart,
  tryChannel,
} from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import type { ReadySpec } from '../hold/job-secrets.ts'
import { endOfSpent, type OwnStarts } from '../hold/own-starts.ts'
import { neverStarted, type TicketEnd } from '../hold/run-end.ts'
import type { RunSpec } from '../hold/run-specs.ts'
import { reachRenewed } from './reach-renewed.ts'
import type { NotReachable, ReachableHosts } from './reachable-hosts.ts'
import { runToCertify } from './run-certificate.ts'

/** What reaching a host needs. */
export type ReachDeps = {
  readonly ledger: Ledger
  readonly hosts: ReachableHosts
  readonly triedWith: TriedWith
  readonly pool: Pool
  readonly starts: OwnStarts
}

/** A run whose dispatch mark is written: from here on the command may run. */
export type Dispatched = {
  readonly checkout: Checkout
  readonly command: RemoteCommand
  /** The channel in which an attached command can be sent. Undefined for a durable command. */
  readonly ready: ReadyCommand | undefined
  /** Whether the command may still be sent. Once the lease may have run out, another worker may have the run. */
  readonly maySend: () => boolean
  /** Writes the mark again: Redis may have forgotten it in a failover. */
  readonly markAgain: () => Promise<unknown>
}

/** What was opened, and for which command. */
type Opened = Pick<Dispatched, 'ready' | 'command'>

/** Reaches the host and writes the dispatch mark. Returns the end of the run when that fails. */
export async function reachAndDispatch(
  deps: ReachDeps,
  run: HeldRun,
  spec: ReadySpec,
): Promise<Dispatched | { readonly end: TicketEnd }> {
  const startedMs = performance.now()
  const found = await deps.hosts.find(run.claim.host, { ...spec, signal: run.signal, run: runToCertify(run, spec) })
  if ('reason' in found) return { end: endOfNotFound(run, found) }
  const timeoutMs = timeoutFor(spec, found.connectTimeoutMs)
  const timing = { timeoutMs, signal: run.signal, fairKey: run.claim.jobId }
  const connected = await reachRenewed(found, async ({ host, sudo }) => {
    const command: RemoteCommand = { ...spec.command, sudo }
    const open = async (checkout: Checkout, signal: AbortSignal): Promise<Opened | NotGreeted> => {
      // A durable command is prepared after the mark: the host itself makes sure that it starts only once.
      const ready = spec.isDurable
        ? await tryChannel(checkout, signal)
        : await readyCommand(checkout.connection, command, { ...spec.limits, signal })
      if ('failure' in ready) return ready
      return { ready: 'running' in ready ? ready : undefined, command }
    }
    return await checkOutAndOpen(deps.pool, host, timing, open)
  })
  if (!connected.ok) return { end: await withTried(deps.triedWith, run, endWithoutConnection(run, spec, connected)) }
  const { checkout, opened } = connected
  const { ready, command } = opened
  try {
    const mode = spec.isDurable ? 'durable' : 'attached'
    const { hostKey, reached, notice } = checkout.connection
    const connectMs = performance.now() - startedMs
    const writeMark = () =>
      dispatchRun(deps.ledger, run.claim, { connectMs, mode, hostKey, reached, ...(notice && { notice }) })
    const mark = await writeMark()
    if (mark.word === 'go' && deps.starts.take(run.claim, spec.starts)) {
      return { checkout, command, ready, maySend: () => performance.now() < mark.sendBeforeMs, markAgain: writeMark }
    }
    ready?.running.channel.close()
    checkout.release()
    return { end: mark.word === 'go' ? endOfSpent() : endWithoutMark(mark) }
  } catch (error) {
    ready?.running.channel.close()
    checkout.connection.close()
    throw error
  }
}

/** The end of a run whose host could not be tried at all. */
function endOfNotFound(run: HeldRun, { state, reason, detail, isRetryable = false }: NotReachable): TicketEnd {
  return endOfStop(run) ?? neverStarted(state, reason, detail, { isRetryable })
}

function endWithoutConnection(run: HeldRun, spec: RunSpec, refused: Refused): TicketEnd {
  const { reason, detail, isRetryable, reached } = refused
  const whose = { isRetryable, isHostsFault: isHostsFault(spec, refused) }
  const end = neverStarted(stateWithoutStart(reason), reason, detail, whose)
  return endOfStop(run) ?? { ...end, ...(reached && { reached }) }
}

/** The end of a run that was stopped before it started; undefined when it was not. */
function endOfStop(run: HeldRun): TicketEnd | undefined {
  const cause = run.stoppedBy()
  switch (cause) {
    case 'cancelled_by_user':
      return neverStarted('cancelled', 'cancelled_by_user', null)
    case 'job_timeout':
      return neverStarted('skipped', 'job_timeout', null)
    case 'error_budget':
      return neverStarted('skipped', 'error_budget', null)
    case 'shutdown':
    case 'fenced':
      // A worker that shuts down leaves the run as it is: it gives up its lease, and the sweep queues the run again.
      return 'not ours'
    case undefined:
      return undefined
    default:
      return cause satisfies never
  }
}

/** Adds a digest of what the host was tried with, if the failure counts against the host. */
async function withTried(triedWith: TriedWith, run: HeldRun, end: TicketEnd): Promise<TicketEnd> {
  if (end === 'not ours' || end.isHostsFault !== true) return end
  const tried = await triedWith(run.claim, end.reason === 'auth_failed' ? 'auth' : 'connect')
  return tried === undefined ? end : { ...end, tried }
}

/** The time to reach a host: what the job says, else what the inventory says for the host, else the usual. */
export function timeoutFor({ connectTimeoutMs }: RunSpec, ofHostMs = connectTimeoutMs): number {
  if (connectTimeoutMs !== CONNECT_TIMEOUT_S * 1_000) return connectTimeoutMs
  return Math.min(ofHostMs, CONNECT_TIMEOUT_LIMIT_S * 1_000)
}

/** Whether the host is at fault. A host that got less time than usual is not: other jobs give it more. */
function isHostsFault(spec: RunSpec, refused: Refused): boolean {
  const isHurried = refused.reason === 'conn_timeout' && spec.connectTimeoutMs < CONNECT_TIMEOUT_S * 1_000
  return refused.isHostsFault && !isHurried
}

function endWithoutMark(mark: Exclude<DispatchAnswer, { word: 'go' }>): TicketEnd {
  switch (mark.word) {
    case 'fenced':
      return 'not ours'
    case 'over':
      return neverStarted(mark.state, mark.reason, null)
    case 'no_lease': {
      // The worker was frozen or cut off for so long that another worker may have the run.
      const detail = 'the lease of the worker ran out before the command was sent'
      return neverStarted('unreachable', 'worker_lost', detail, { isRetryable: true })
    }
    default:
      return mark satisfies never
  }
}
