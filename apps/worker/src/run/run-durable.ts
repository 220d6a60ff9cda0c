/**
 * A command that runs detached on its host: it is followed over as many connections as it takes, and when this worker
 * has to go, another one attaches to it. Who started it, and how often the line broke, does not show in the result.
 *
 * Falls back to attached mode where the host cannot hold a detached command, and says so in the run.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { OutputStream } from '@muster/contract'
import { durableSecret, fallBackToAttached, handOver } from '@muster/ledger'
import {
  DurableRun,
  type Followed,
  followDurable,
  type Lease,
  leaseAndOpen,
  removeDurable,
  type SshConnection,
  type Sudo,
  stateWithoutStart,
  tryChannel,
} from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import { patiently } from '../hold/patience.ts'
import { endedByItself, mayHaveRun, neverStarted, runEndOf } from '../hold/run-end.ts'
import type { RunSpec } from '../hold/run-specs.ts'
import { sudoOf, wantsSudo } from '../reach/command-of.ts'
import type { Dispatched } from '../reach/reach-and-dispatch.ts'
import type { CarriedOut, Outcome, TicketDeps } from '../run-ticket.ts'
import { checkHealth, endOfStoppedCheck } from './check-health.ts'
import { openWriter } from './output-writer.ts'
import { runAttached } from './run-attached.ts'

/** How long the result is waited for after the time the command may take: its host may be being repaired. */
const RESULT_LIMIT_MS = 10 * 60_000
/** The same after a cancel: whoever asked waits for an answer. */
const STOP_LIMIT_MS = 60_000
/** Between two tries to reach the host again; doubled each time. */
const FIRST_BACKOFF_MS = 500
const BACKOFF_LIMIT_MS = 15_000

/** Starts the command and follows it to its end. */
export async function runDurable(
  deps: TicketDeps,
  run: HeldRun,
  spec: RunSpec,
  dispatched: Dispatched,
): Promise<CarriedOut> {
  const followed = await new DurableFollow(deps, run, spec, 0).toEnd(dispatched)
  if (!('notDurable' in followed)) return followed
  const notice = `durable mode could not be had, so the command ran attached: ${followed.notDurable}`
  const { signal, onError } = patienceOf(deps)
  const isOurs = await patiently(() => fallBackToAttached(deps.ledger, run.claim, notice), { signal, onError })
  if (isOurs) return await runAttached(deps, run, spec, dispatched)
  dispatched.lease.connection.close()
  return { outcome: 'not ours' }
}

/** Follows a command that another worker started. */
export async function attachAgain(
  deps: TicketDeps,
  run: HeldRun,
  spec: RunSpec,
  startedAgoMs: number,
): Promise<CarriedOut> {
  const followed = await new DurableFollow(deps, run, spec, startedAgoMs).toEnd(undefined)
  if (!('notDurable' in followed)) return followed
  return { outcome: mayHaveRun('result_missing', 'the host no longer holds what was started there') }
}

class DurableFollow {
  readonly #deps: TicketDeps
  readonly #run: HeldRun
  readonly #spec: RunSpec
  /** Aborts when this worker lets the run go; a cancel does not, as the host must be reached to carry it out. */
  readonly #detach = new AbortController()
  /** What whoever follows is told: "detach", or why the command is to be killed. */
  readonly #orders = new AbortController()
  /** Until when the host is tried, should it not be reached; by `performance.now()`. */
  #giveUpMs: number
  #execTimeoutMs: number

  constructor(deps: TicketDeps, run: HeldRun, spec: RunSpec, startedAgoMs: number) {
    this.#deps = deps
    this.#run = run
    this.#spec = spec
    this.#execTimeoutMs = spec.exec_timeout_s * 1_000
    this.#giveUpMs = performance.now() - startedAgoMs + this.#execTimeoutMs + RESULT_LIMIT_MS
  }

  async toEnd(dispatched: Dispatched | undefined): Promise<CarriedOut | { readonly notDurable: string }> {
    const { claim } = this.#run
    const writer = openWriter(this.#deps, this.#run, this.#spec, dispatched?.markAgain)
    const id = `${claim.jobId}-${claim.index}-${claim.attempt}`
    const sudo = dispatched === undefined ? await this.#sudo() : dispatched.command.sudo
    const keep = (stream: OutputStream, bytes: Buffer) => writer.write(stream, bytes)
    const secret = await patiently(() => durableSecret(this.#deps.ledger), patienceOf(this.#deps))
    const outputLimitBytes = this.#spec.output_limit_bytes
    const durable = new DurableRun({ runId: id, secret, outputLimitBytes, onOutput: keep, sudo })
    writer.followTails((stream) => durable.caps[stream].tail())
    const takeBack = this.#listen()
    let lease = dispatched?.lease
    let last = 'it was not reached yet'
    try {
      for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs = Math.min(BACKOFF_LIMIT_MS, backoffMs * 2)) {
        if (lease !== undefined) {
          // Only the first launcher may start it: later ones make sure that it does not start any more.
          const isFirst = lease === dispatched?.lease
          const followed = await this.#follow(durable, lease.connection, isFirst ? dispatched : undefined)
          if (followed.kind === 'not_durable' && isFirst) return { notDurable: followed.detail }
          const checked = await this.#checked(followed, lease.connection, sudo)
          const outcome = outcomeOf(checked, this.#run)
          if (outcome !== undefined) {
            await writer.flush()
            const isReusable =
              checked.kind === 'ended' && endedByItself(checked.end) && checked.end.reason !== 'health_check'
            return { outcome, release: releaseOf(lease, isReusable, durable, this.#deps) }
          }
          last = 'detail' in followed ? followed.detail : last
          // What only a person can put right is not tried again and again: sudo that refuses locks accounts.
          if (followed.kind === 'disconnected' && !followed.isRetryable) this.#giveUpMs = 0
          lease.connection.close()
          lease = undefined
        }
        const letGo = await this.#letGo()
        if (letGo !== undefined) return { outcome: letGo }
        if (performance.now() > this.#giveUpMs) return { outcome: this.#givenUp(last) }
        await sleep(backoffMs, undefined, { signal: this.#detach.signal }).catch(() => {})
        const reached = await this.#reach()
        if (typeof reached === 'object') lease = reached
        else last = reached
      }
    } catch (error) {
      lease?.connection.close()
      throw error
    } finally {
      takeBack()
      writer.stop()
    }
  }

  #listen(): () => void {
    const { signal } = this.#run
    const onStop = () => {
      const cause = this.#run.stopCause()
      const isLetGo = cause === 'shutdown' || cause === 'fenced'
      this.#orders.abort(isLetGo ? 'detach' : cause)
      if (isLetGo) this.#detach.abort('detach')
      else this.#giveUpMs = Math.min(this.#giveUpMs, performance.now() + STOP_LIMIT_MS)
    }
    signal.addEventListener('abort', onStop)
    if (signal.aborted) onStop()
    const takeBack = this.#run.onExecTimeout((execTimeoutMs) => {
      if (execTimeoutMs <= this.#execTimeoutMs || signal.aborted) return
      this.#giveUpMs += execTimeoutMs - this.#execTimeoutMs
      this.#execTimeoutMs = execTimeoutMs
    })
    return () => {
      signal.removeEventListener('abort', onStop)
      takeBack()
    }
  }

  #follow(durable: DurableRun, connection: SshConnection, first: Dispatched | undefined): Promise<Followed> {
    const { exec_timeout_s, idle_timeout_s, kill_grace_s } = this.#spec
    return followDurable(connection, durable, {
      command: first?.command,
      limits: {
        execTimeoutMs: exec_timeout_s * 1_000,
        killGraceMs: kill_grace_s * 1_000,
        ...(idle_timeout_s === undefined ? {} : { idleTimeoutMs: idle_timeout_s * 1_000 }),
      },
      signal: this.#orders.signal,
      onRaise: this.#run.onExecTimeout,
    })
  }

  /** Whom the command runs as: nobody but that user can look after it. */
  async #sudo(): Promise<Sudo | undefined> {
    const found = await this.#find()
    return sudoOf(this.#spec, 'reason' in found ? undefined : found.sudoPassword)
  }

  #find() {
    return this.#deps.hosts.find(this.#run.claim.host, { withSudo: wantsSudo(this.#spec) })
  }

  async #reach(): Promise<Lease | string> {
    const found = await this.#find()
    if ('reason' in found) return found.detail
    const timeoutMs = this.#spec.connect_timeout_s * 1_000
    const signal = this.#detach.signal
    const timing = { timeoutMs, signal, fairKey: this.#run.claim.jobId }
    const reached = await leaseAndOpen(this.#deps.pool, found.host, timing, tryChannel)
    if (reached.ok) return reached.lease
    // What only a person can put right is not tried again and again: log-ins that fail lock accounts.
    if (!reached.isRetryable && !signal.aborted) this.#giveUpMs = 0
    return reached.detail
  }

  /** What to say when this worker has no more to do with the run. Undefined when it has. */
  async #letGo(): Promise<Outcome | undefined> {
    if (this.#run.stopCause() === 'fenced') return 'not ours'
    if (this.#run.stopCause() !== 'shutdown') return undefined
    const isHandedOver = await patiently(() => handOver(this.#deps.ledger, this.#run.claim), patienceOf(this.#deps))
    this.#deps.log.info({ isHandedOver }, 'a durable run goes on without this worker')
    return 'not ours'
  }

  /** With what the health check makes of a command that succeeded. */
  async #checked(followed: Followed, connection: SshConnection, sudo: Sudo | undefined): Promise<Followed> {
    if (followed.kind !== 'ended') return followed
    const [run, spec] = [this.#run, this.#spec]
    const { end } = followed
    const found = await checkHealth(connection, { run, spec, sudo, end })
    if (found !== 'stopped') return { ...followed, end: found }
    // The result is still on the host: whoever takes the run over finds it there, and checks anew.
    if (this.#detach.signal.aborted) return { kind: 'disconnected', detail: 'let go', isRetryable: true }
    return { ...followed, end: endOfStoppedCheck(run, end) }
  }

  #givenUp(last: string): Outcome {
    if (this.#run.signal.aborted) {
      return mayHaveRun('kill_unconfirmed', `it was to be stopped, but its host cannot be reached: ${last}`)
    }
    return mayHaveRun('conn_lost', `its host cannot be reached to fetch the result: ${last}`)
  }
}

/** What a run comes to by what was found on its host. Undefined: nothing is known yet. */
function outcomeOf(followed: Followed, run: HeldRun): Outcome | undefined {
  switch (followed.kind) {
    case 'ended':
      return runEndOf(followed.end)
    case 'not_started': {
      const { reason, detail, isRetryable, isHostsFault } = followed.failure
      if (reason === 'cancelled_by_user' || reason === 'job_timeout') {
        const isLetGo = run.stopCause() === 'shutdown' || run.stopCause() === 'fenced'
        if (isLetGo) return neverStarted('unreachable', 'worker_lost', detail, true)
      }
      return neverStarted(stateWithoutStart(reason), reason, detail, isRetryable, isHostsFault)
    }
    case 'not_durable':
    case 'disconnected':
      return undefined
    default:
      return followed satisfies never
  }
}

function releaseOf(lease: Lease, isReusable: boolean, durable: DurableRun, deps: TicketDeps) {
  return async (isStored: boolean) => {
    try {
      if (isStored) await removeDurable(lease.connection, durable)
      if (isReusable) lease.release()
    } catch (error) {
      // The host removes what is left over by itself, after some days.
      deps.log.warn({ err: error }, 'what a durable run left on its host was not removed')
    } finally {
      // Where it was released, this does nothing.
      lease.connection.close()
    }
  }
}

function patienceOf(deps: TicketDeps) {
  const onError = (error: unknown) => deps.log.error({ err: error }, 'Redis did not take a step of a run; trying again')
  return { signal: deps.closing, onError }
}
