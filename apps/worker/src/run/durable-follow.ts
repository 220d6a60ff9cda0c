/**
 * Follows a durable run to its end over as many connections as it takes, whichever worker started it. The result shows
 * neither who that was nor how often the connection broke.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { durableSecret, handOver } from '@muster/ledger'
import {
  type Checkout,
  checkOutAndOpen,
  type DurableEnd,
  DurableRun,
  followDurable,
  type Pool,
  type RemoteCommand,
  removeDurable,
  type SshConnection,
  type Sudo,
  stateWithoutStart,
  tryChannel,
} from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import type { ReadySpec } from '../hold/job-secrets.ts'
import { patiently } from '../hold/patience.ts'
import {
  type EndAndCleanUp,
  endedByItself,
  endOfCommand,
  mayHaveRun,
  neverStarted,
  type TicketEnd,
  withReached,
} from '../hold/run-end.ts'
import { type Dispatched, timeoutFor } from '../reach/reach-and-dispatch.ts'
import { reachRenewed } from '../reach/reach-renewed.ts'
import type { ReachableHosts } from '../reach/reachable-hosts.ts'
import { runToCertify } from '../reach/run-certificate.ts'
import { checkHealth, endOfStoppedCheck } from './check-health.ts'
import { FollowLimits } from './follow-limits.ts'
import { openWriter, type WriterDeps } from './output-writer.ts'

/** The pause before trying to reach the host again; it doubles each time, up to the limit. */
const FIRST_BACKOFF_MS = 500
const BACKOFF_LIMIT_MS = 15_000

/** What following a durable run needs. */
export type DurableDeps = WriterDeps & { readonly hosts: ReachableHosts; readonly pool: Pool }

/** Why the host cannot hold a durable command. */
type NotDurable = { readonly notDurable: string }

/**
 * Follows a run to its end. Without `dispatched` it only looks for what another worker has started. If the host cannot
 * hold the command, the connection of `dispatched` stays open for the caller.
 */
export async function followToEnd(
  deps: DurableDeps,
  run: HeldRun,
  spec: ReadySpec,
  { startedAgoMs, dispatched }: { startedAgoMs: number; dispatched: Dispatched | undefined },
): Promise<EndAndCleanUp | NotDurable> {
  const { jobId, index, attempt } = run.claim
  const { outputLimitBytes } = spec
  const limits = new FollowLimits(run, spec.limits.execTimeoutMs, startedAgoMs)
  const writer = openWriter(deps, run, { outputLimitBytes, markAgain: dispatched?.markAgain })
  try {
    const command = dispatched?.command ?? { ...spec.command, sudo: await sudoOf(deps, run, spec) }
    const durable = new DurableRun({
      runId: `${jobId}-${index}-${attempt}`,
      secret: await patiently(() => durableSecret(deps.ledger), patienceOf(deps)),
      outputLimitBytes,
      ...(spec.masks !== undefined && { mask: spec.masks.stream }),
      onOutput: (stream, bytes) => writer.write(stream, bytes),
      sudo: command.sudo,
    })
    writer.followTails((stream) => durable.caps[stream].tail())
    const flush = () => writer.flush()
    return await new DurableFollow({ deps, run, spec, limits, command, durable, flush }).toEnd(dispatched?.checkout)
  } finally {
    limits.release()
    writer.stop()
  }
}

/** Only the user whom the command runs as can watch or stop it. A worker that takes over may lack the password. */
async function sudoOf({ hosts }: DurableDeps, { claim, signal }: HeldRun, spec: ReadySpec): Promise<Sudo | undefined> {
  if (spec.sudoUser === undefined) return undefined
  const found = await hosts.find(claim.host, { ...spec, signal, run: undefined })
  return 'reason' in found ? { user: spec.sudoUser } : found.sudo
}

/** What following one run over several connections needs. */
type FollowParts = {
  readonly deps: DurableDeps
  readonly run: HeldRun
  readonly spec: ReadySpec
  readonly limits: FollowLimits
  readonly command: RemoteCommand
  readonly durable: DurableRun
  /** Resolves when all output taken so far is in the ledger. */
  readonly flush: () => Promise<void>
}

class DurableFollow {
  readonly #parts: FollowParts

  constructor(parts: FollowParts) {
    this.#parts = parts
  }

  /** Starts the command on the `first` connection; without one, only looks for what another worker has started. */
  async toEnd(first: Checkout | undefined): Promise<EndAndCleanUp | NotDurable> {
    const { limits } = this.#parts
    let checkout = first
    let last = 'it was not reached yet'
    try {
      for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs = Math.min(BACKOFF_LIMIT_MS, backoffMs * 2)) {
        if (checkout !== undefined) {
          const seen = await this.#follow(checkout, { mayStart: checkout === first })
          if (!('nothingKnown' in seen)) return seen
          last = seen.nothingKnown
          checkout.connection.close()
          checkout = undefined
        }
        const letGo = await this.#letGo()
        if (letGo !== undefined) return { end: letGo }
        if (limits.isOver()) return { end: this.#givenUp(last) }
        await sleep(backoffMs, undefined, { signal: limits.detached }).catch(() => {})
        const reached = await this.#reach()
        if (typeof reached === 'object') checkout = reached
        else last = reached
      }
    } catch (error) {
      checkout?.connection.close()
      throw error
    }
  }

  /** Follows the run over one connection. */
  async #follow(
    checkout: Checkout,
    { mayStart }: { mayStart: boolean },
  ): Promise<EndAndCleanUp | NotDurable | { readonly nothingKnown: string }> {
    const { run, spec, limits, command, durable, flush } = this.#parts
    const followed = await followDurable(checkout.connection, durable, {
      // Only the first launcher may start it: later ones make sure that it cannot start any more.
      command: mayStart ? command : undefined,
      limits: spec.limits,
      signal: limits.orders,
      onRaise: run.onExecTimeout,
    })
    if (followed.kind === 'not_durable' && mayStart) return { notDurable: followed.detail }
    const checked = await this.#checked(followed, checkout.connection)
    if (checked.kind === 'not_durable') return { nothingKnown: checked.detail }
    if (checked.kind === 'disconnected') {
      if (!checked.isRetryable) limits.giveUp()
      return { nothingKnown: checked.detail }
    }
    await flush()
    const isReusable = checked.kind === 'ended' && endedByItself(checked.end) && checked.end.reason !== 'health_check'
    const end = checked.kind === 'ended' ? endOfCommand(checked.end) : endWithoutStart(checked, run)
    const { reached } = checkout.connection
    return { end: withReached(end, reached), cleanUp: (isStored) => this.#cleanUp(checkout, { isReusable, isStored }) }
  }

  async #reach(): Promise<Checkout | string> {
    const { deps, run, spec, limits } = this.#parts
    const found = await deps.hosts.find(run.claim.host, {
      ...spec,
      signal: limits.detached,
      run: runToCertify(run, spec),
    })
    if ('reason' in found) return found.detail
    const timeoutMs = timeoutFor(spec, found.connectTimeoutMs)
    const timing = { timeoutMs, signal: limits.detached, fairKey: run.claim.jobId }
    const reached = await reachRenewed(found, ({ host }) => checkOutAndOpen(deps.pool, host, timing, tryChannel))
    if (reached.ok) return reached.checkout
    if (!reached.isRetryable && !limits.detached.aborted) limits.giveUp()
    return reached.detail
  }

  /** The end of the ticket when this worker has lost the run or hands it over. Undefined while it keeps the run. */
  async #letGo(): Promise<TicketEnd | undefined> {
    const { deps, run } = this.#parts
    if (run.stoppedBy() === 'fenced') return 'not ours'
    if (run.stoppedBy() !== 'shutdown') return undefined
    const isHandedOver = await patiently(() => handOver(deps.ledger, run.claim), patienceOf(deps))
    deps.log.info({ isHandedOver }, 'a durable run goes on without this worker')
    return 'not ours'
  }

  /** Checks the health of the host after a command that succeeded. */
  async #checked(followed: DurableEnd, connection: SshConnection): Promise<DurableEnd> {
    if (followed.kind !== 'ended') return followed
    const { run, spec, command, limits } = this.#parts
    const { end } = followed
    const found = await checkHealth(connection, { run, spec, command, end })
    if (found !== 'stopped') return { ...followed, end: found }
    // The result is still on the host: the worker that takes the run over finds it there, and checks again.
    if (limits.detached.aborted) return { kind: 'disconnected', detail: 'let go', isRetryable: true }
    return { ...followed, end: endOfStoppedCheck(run, end) }
  }

  #givenUp(last: string): TicketEnd {
    if (this.#parts.run.signal.aborted) {
      return mayHaveRun('kill_unconfirmed', `it was to be stopped, but its host cannot be reached: ${last}`)
    }
    return mayHaveRun('conn_lost', `its host cannot be reached to fetch the result: ${last}`)
  }

  async #cleanUp(
    checkout: Checkout,
    { isReusable, isStored }: { isReusable: boolean; isStored: boolean },
  ): Promise<void> {
    const { deps, durable } = this.#parts
    try {
      if (isStored) await removeDurable(checkout.connection, durable)
      if (isReusable) checkout.release()
    } catch (error) {
      // The host removes what is left after a week.
      deps.log.warn({ err: error }, 'what a durable run left on its host was not removed')
    } finally {
      // Has no effect on a connection that went back to the pool.
      checkout.connection.close()
    }
  }
}

function endWithoutStart({ failure }: Extract<DurableEnd, { kind: 'not_started' }>, run: HeldRun): TicketEnd {
  const { reason, detail, isRetryable, isHostsFault } = failure
  if (reason === 'cancelled_by_user' || reason === 'job_timeout') {
    // The order to stop came from this worker because it is letting go of the run.
    const isLetGo = run.stoppedBy() === 'shutdown' || run.stoppedBy() === 'fenced'
    if (isLetGo) return neverStarted('unreachable', 'worker_lost', detail, { isRetryable: true })
  }
  return neverStarted(stateWithoutStart(reason), reason, detail, { isRetryable, isHostsFault })
}

/** For steps that Redis must take: they are repeated until this worker closes. */
export function patienceOf({ closing, log }: WriterDeps) {
  const onError = (error: unknown) =>
    log.error({ err: error }, 'a step of a run could not be stored in Redis; trying again')
  return { signal: closing, onError }
}
