/**
 * One ticket, from claim to end: claim → connect → dispatch mark → exec → finish. Read top to bottom, this is what
 * Muster does on a host.
 *
 * Every claimed run gets exactly one end, whatever goes wrong on the way: an unexpected fault before the dispatch mark
 * means "not started", after it "lost", never anything better.
 */
import { createHash } from 'node:crypto'
import type { JobSpec } from '@muster/contract'
import {
  type CancelWatch,
  type Claim,
  claimRun,
  dispatchRun,
  finishRun,
  type Ledger,
  type RunEnd,
  readSpec,
  type Ticket,
} from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import { connect, type ExecEnd, exec, type KnownHostsSource, type SshConnection } from '@muster/ssh'
import { OutputWriter } from './output-writer.ts'
import type { ReachableHosts } from './reachable-hosts.ts'

/** Why a run is stopped from outside. `fenced`: the claim is someone else's now. */
type StopCause = 'cancelled' | 'shutdown' | 'fenced'

/** What carrying out a ticket needs. */
export type TicketDeps = {
  readonly ledger: Ledger
  readonly workerId: string
  readonly hosts: ReachableHosts
  readonly knownHosts: KnownHostsSource
  readonly cancels: CancelWatch
  /** Aborts when this worker has to stop at once. */
  readonly shutdown: AbortSignal
  readonly log: Logger
}

/** What a run comes to: its end, or nothing to say because the run is not ours to end. */
type Outcome = RunEnd | 'not ours'

/** Carries out one ticket. Resolves with a few words for Bull Board; rejects only when the ledger failed. */
export async function runTicket(deps: TicketDeps, ticket: Ticket): Promise<string> {
  const stop = new AbortController()
  const stopFor = (cause: StopCause) => () => stop.abort(cause)
  const unwatch = deps.cancels.watch(ticket.job_id, stopFor('cancelled'))
  const onShutdown = stopFor('shutdown')
  deps.shutdown.addEventListener('abort', onShutdown)
  try {
    const claim = await claimRun(deps.ledger, ticket, deps.workerId)
    if (claim === undefined) return 'nothing to do'
    const outcome = await carryOut(deps, claim, stop)
    if (outcome === 'not ours') return 'left to another worker'
    const finished = await finishRun(deps.ledger, claim, outcome)
    deps.log.info(
      { job_id: claim.jobId, host: claim.host, state: outcome.state, reason: outcome.reason, fenced: !finished },
      'run ended',
    )
    return [outcome.state, outcome.reason, outcome.exitCode].filter((part) => part !== null).join(' ')
  } finally {
    deps.shutdown.removeEventListener('abort', onShutdown)
    unwatch()
  }
}

async function carryOut(deps: TicketDeps, claim: Claim, stop: AbortController): Promise<Outcome> {
  const dispatched = await dispatch(deps, claim, stop.signal).catch((error: unknown) => {
    deps.log.error({ err: error, job_id: claim.jobId, host: claim.host }, 'a fault of ours before dispatch')
    const detail = 'a fault in the worker, before the command was sent; its log has more'
    return { end: neverStarted('unreachable', 'worker_lost', detail) }
  })
  if ('end' in dispatched) return dispatched.end
  try {
    return await runCommand(deps, claim, dispatched, stop)
  } catch (error) {
    deps.log.error({ err: error, job_id: claim.jobId, host: claim.host }, 'a fault of ours after dispatch')
    return mayHaveRun('a fault in the worker, after the command was sent; its log has more')
  } finally {
    dispatched.connection.close()
  }
}

/** What holds once the dispatch mark is written: from here on the command may run. */
type Dispatched = { readonly connection: SshConnection; readonly spec: JobSpec }

/** Everything before the command is sent: all of it may fail without the host having done anything. */
async function dispatch(
  deps: TicketDeps,
  claim: Claim,
  signal: AbortSignal,
): Promise<Dispatched | { readonly end: Outcome }> {
  const spec = await readSpec(deps.ledger, claim.jobId)
  const startedMs = performance.now()
  const host = await deps.hosts.find(claim.host)
  if ('reason' in host) return { end: neverStarted(host.state, host.reason, host.detail) }
  const timeoutMs = spec.connect_timeout_s * 1_000
  const reached = await connect(host, { knownHosts: deps.knownHosts, timeoutMs, signal })
  // A worker that has to go leaves the run as it is: its lease ends with it, and the sweep queues the run again.
  if (!reached.ok && signal.aborted && signal.reason === 'shutdown') return { end: 'not ours' }
  if (!reached.ok && signal.aborted) return { end: neverStarted('cancelled', 'cancelled_by_user', null) }
  if (!reached.ok) return { end: neverStarted('unreachable', reached.reason, reached.detail) }
  const { connection } = reached
  try {
    const mark = await dispatchRun(deps.ledger, claim, performance.now() - startedMs)
    if (mark === 'go') return { connection, spec }
    connection.close()
    return { end: mark === 'fenced' ? 'not ours' : neverStarted('cancelled', 'cancelled_by_user', null) }
  } catch (error) {
    connection.close()
    throw error
  }
}

async function runCommand(
  deps: TicketDeps,
  claim: Claim,
  { connection, spec }: Dispatched,
  stop: AbortController,
): Promise<Outcome> {
  const writer = new OutputWriter(deps.ledger, claim, () => stop.abort('fenced'))
  const end = await exec(
    connection,
    { form: formOf(spec), stdin: spec.stdin, cwd: spec.cwd, env: spec.env },
    {
      execTimeoutMs: spec.exec_timeout_s * 1_000,
      killGraceMs: spec.kill_grace_s * 1_000,
      outputLimitBytes: spec.output_limit_bytes,
      signal: stop.signal,
      onOutput: (stream, bytes) => writer.write(stream, bytes),
    },
  )
  await writer.flush()
  if (stop.signal.reason === 'fenced') return 'not ours'
  const isOurStop = end.reason === 'cancelled_by_user' && stop.signal.reason === 'shutdown'
  // Nobody asked for this command to be stopped, so it is not "cancelled"; whether its work was done, nobody knows.
  const told = isOurStop
    ? { ...end, state: 'lost' as const, reason: 'worker_lost' as const, detail: 'the worker was stopped and killed it' }
    : end
  return toRunEnd(told)
}

function toRunEnd(end: ExecEnd): RunEnd {
  const { state, remote, reason, detail, exitCode, signal, stdout, stderr, outputComplete } = end
  const digest = createHash('sha256').update(`${stdout.sha256} ${stderr.sha256}`).digest('base64url')
  const output = { stdout, stderr, complete: outputComplete, digest }
  return { state, remote, reason, detail, exitCode, signal, output }
}

function formOf({ command, argv, script }: JobSpec) {
  if (argv !== undefined) return { argv }
  if (script !== undefined) return { script }
  return { command: command ?? '' }
}

function neverStarted(state: RunEnd['state'], reason: RunEnd['reason'], detail: string | null): RunEnd {
  return { state, remote: 'not_started', reason, detail, exitCode: null, signal: null }
}

function mayHaveRun(detail: string): RunEnd {
  return { state: 'lost', remote: 'unknown', reason: 'worker_lost', detail, exitCode: null, signal: null }
}
