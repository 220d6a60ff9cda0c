/**
 * One command on one connection, from its channel to exactly one end.
 *
 *   channel → hello → command sent → start mark seen (it runs) → exit → output drained → end
 *                          └ timeout, cancel, output limit: kill the group and look ┘
 *
 * A command's failure is a value. Nothing of the command is on the host before it is sent, so every failure up to there
 * is "not started"; verdict.ts decides what the end is called. Does not connect, and does not store output.
 */
import type { OutputStream, Reason, Remote, TerminalRunState } from '@muster/contract'
import { signalChannel } from '../channel/channel.ts'
import { killGroup } from '../channel/kill.ts'
import { askHost } from '../connect/ask.ts'
import type { SshConnection } from '../connect/connection.ts'
import { drainAfterExit } from '../output/after-exit.ts'
import { byStream, type Drain, drainOutput, type OutputReceiver } from '../output/drain.ts'
import { HARD_STOP_BYTES, OutputCap, type StreamEnd, type StreamMask, type StreamTail } from '../output/output-cap.ts'
import { findStart, type StartMark } from '../output/start-marks.ts'
import type { RemoteCommand } from '../shell/remote-command.ts'
import { type Failure, failure } from '../verdict/failure.ts'
import { type KillResult, type Stopped, stateWithoutStart, verdictOf } from '../verdict/verdict.ts'
import { withinMs } from '../verdict/within-ms.ts'
import { channelTimeoutOf, type ReadyCommand, type ReadyOptions, readyCommand } from './ready-command.ts'
import { followDeadline, type RemoteDeadline } from './remote-deadline.ts'
import { type StopWatch, watchForStop } from './stop.ts'

/** How to run a command. */
export type ExecOptions = ReadyOptions & {
  /**
   * Is given a function that raises the limit while the command runs. The new limit also counts from the sending; one
   * that is not higher changes nothing. The function it returns is called once the command has ended.
   */
  readonly onRaise?: (raise: (execTimeoutMs: number) => void) => () => void
  /** Longest silence on both streams; then it is killed. Time spent waiting for `onOutput` is no silence. */
  readonly idleTimeoutMs?: number
  /** Kept of each stream: half as the head, handed to `onOutput`, and half as the tail, given at the end. */
  readonly outputLimitBytes: number
  /** Makes what masks secrets in a stream. Absent: there are none. */
  readonly mask?: () => StreamMask
  /** Takes the head of a stream as it comes. A promise makes the host wait; a rejection kills the command. */
  readonly onOutput: OutputReceiver
  /**
   * Is given, once, a function that returns the end of a stream as it is at that time: its last bytes, 64 KiB at most,
   * and where they begin; undefined while all of the stream belongs to the head.
   */
  readonly onTails?: (tailOf: (stream: OutputStream) => StreamTail | undefined) => void
  /** Asked right before the command is sent. If it returns false the command is not sent, and may be tried again. */
  readonly maySend?: () => boolean
  /** How much a stream may write at all before the command is killed; 64 MiB by default. */
  readonly hardStopBytes?: number
}

/** How a command ended. */
export type ExecEnd = {
  readonly state: TerminalRunState
  /** Null for success. */
  readonly reason: Reason | null
  readonly remote: Remote
  /** The real one; null when the host reported none for the command. */
  readonly exitCode: number | null
  /** Without "SIG"; null when no signal was reported. */
  readonly signal: string | null
  /** The reason in words; null for success. */
  readonly detail: string | null
  /** Whether another try may succeed: only where nothing was ever sent, and the cause may pass. */
  readonly isRetryable: boolean
  readonly stdout: StreamEnd
  readonly stderr: StreamEnd
  /** False when output may be missing: something still held the streams, or the connection was lost. */
  readonly outputComplete: boolean
}

/** How long the launcher of a command that is to be stopped may take to say what to kill. */
const START_MS = 5_000
/** How long the host may take to report the exit of a command that was killed. */
const REPORT_MS = 2_000

/**
 * Runs a command. Rejects only with the error of `onOutput` (after the command was killed), or when the command is
 * malformed.
 * @throws {MusterError} invalid_request: the command cannot be expressed; nothing was sent.
 */
export async function exec(connection: SshConnection, command: RemoteCommand, options: ExecOptions): Promise<ExecEnd> {
  const ready = await readyCommand(connection, command, options)
  return 'failure' in ready ? neverSent(ready.failure) : await sendCommand(ready, options)
}

/**
 * Sends a command and follows it to its end. Rejects only with the error of `onOutput`, after the command was killed.
 * @param options the same limits as it was made ready with
 */
export async function sendCommand(ready: ReadyCommand, options: ExecOptions): Promise<ExecEnd> {
  const { connection, running } = ready
  try {
    if (!connection.channels.has(running.channel)) {
      return neverSent(failure('conn_lost', `${connection.hostName}: the channel ended before the command was sent`))
    }
    if (options.maySend?.() === false) {
      return neverSent(failure('worker_lost', 'it was too late to send the command'))
    }
    return await new SentCommand(ready, options).toEnd()
  } finally {
    running.channel.close()
  }
}

/** A command that is being sent: its clocks run from here on. */
class SentCommand {
  readonly #ready: ReadyCommand
  readonly #options: ExecOptions
  readonly #stop: StopWatch
  readonly #deadline: RemoteDeadline
  readonly #drain: Drain
  readonly #startSeen: Promise<void>
  #onStart: () => void = () => {}
  #hasRefused = false
  #fault: { readonly error: unknown } | undefined

  constructor(ready: ReadyCommand, options: ExecOptions) {
    this.#ready = ready
    this.#options = options
    const { connection, launch } = ready
    const { execTimeoutMs, killGraceMs } = options
    const channelTimeoutMs = channelTimeoutOf(options)
    this.#stop = watchForStop(execTimeoutMs, options.signal)
    this.#deadline = followDeadline(connection, { execTimeoutMs, killGraceMs, channelTimeoutMs, sudo: launch.sudo })
    this.#startSeen = new Promise((resolve) => {
      this.#onStart = resolve
    })
    this.#drain = this.#readOutput()
  }

  async toEnd(): Promise<ExecEnd> {
    const { connection, running } = this.#ready
    const { onRaise, onTails, idleTimeoutMs, signal } = this.#options
    const [stop, deadline, drain] = [this.#stop, this.#deadline, this.#drain]
    const release = onRaise?.((limitMs) => stop.raise(limitMs) && deadline.moveBehind(limitMs))
    onTails?.(drain.tailOf)
    if (idleTimeoutMs !== undefined) stop.watchSilence(idleTimeoutMs, drain.quietMs)
    this.#send()

    const requested = await Promise.race([running.exited, stop.requested])
    stop.release()
    release?.()
    const cause = requested ?? (this.#isEndedByHost() ? 'exec_timeout' : undefined)
    let stopped: Stopped | undefined
    if (cause !== undefined && (running.exit() === undefined || this.#isEndedByHost())) {
      await withinMs(START_MS, Promise.race([this.#startSeen, running.exited]))
      stopped = { cause, kill: await this.#kill() }
      await withinMs(REPORT_MS, running.exited)
    }
    const isDrained = await drainAfterExit(drain, { ask: () => askHost(connection.client), signal })
    await drain.stop()
    await withinMs(START_MS, deadline.settle())
    if (this.#fault !== undefined) throw this.#fault.error
    return this.#end(stopped, isDrained)
  }

  #readOutput(): Drain {
    const { running, launch, nonce } = this.#ready
    const { outputLimitBytes, mask, onOutput, hardStopBytes = HARD_STOP_BYTES } = this.#options
    const cap = () => new OutputCap(outputLimitBytes, mask?.())
    const onNever = () => {
      this.#hasRefused = true
    }
    return drainOutput(running.channel, {
      caps: { stdout: cap(), stderr: cap() },
      onOutput,
      onBytes: (streamBytes) => {
        if (streamBytes > hardStopBytes) this.#stop.request('output_limit')
      },
      onFault: (error) => {
        this.#fault ??= { error }
        this.#stop.request('fault')
      },
      heard: running.heard,
      split: byStream(findStart(nonce, (mark) => this.#onMark(mark), { onNever, bySudo: launch.sudo !== undefined })),
    })
  }

  #onMark(mark: StartMark): void {
    const { launch, running } = this.#ready
    this.#deadline.hasStarted({ ...mark, isGroup: launch.isGroup })
    this.#onStart()
    // Not before: what reads the text may read further, and would swallow the input (shell-text.ts).
    if (launch.input !== undefined && !this.#stop.isRequested()) running.channel.end(launch.input)
  }

  #send(): void {
    const { launch, running } = this.#ready
    const { channel } = running
    if (launch.body !== undefined) channel.write(launch.text)
    const last = launch.body ?? launch.text
    if (launch.input === undefined) channel.end(last)
    else channel.write(last)
  }

  async #kill(): Promise<KillResult> {
    const { connection, running, launch } = this.#ready
    const hasExited = () => running.exit() !== undefined && !this.#isEndedByHost()
    if (hasExited()) return 'not_sent'
    // A watchdog that is just being replaced would be missed.
    await withinMs(START_MS, this.#deadline.settle())
    const started = this.#deadline.started()
    const signal = (name: 'TERM' | 'KILL') => signalChannel(connection, running.channel, name)
    const { killGraceMs: graceMs } = this.#options
    const how = { graceMs, channelTimeoutMs: channelTimeoutOf(this.#options), hasExited, signal, sudo: launch.sudo }
    const kill = started === undefined ? 'not_sent' : await killGroup(connection, started, how)
    // The last resort; no answer comes to it.
    if (kill === 'not_sent' && running.exit() === undefined) signal('KILL')
    // Gone before our signal, but by the watchdog's: that is a kill that worked.
    return kill === 'was_gone' && this.#isEndedByHost() ? 'ended' : kill
  }

  /** Whether the watchdog ended the command: this side was not there in time, or could not move the deadline. */
  #isEndedByHost(): boolean {
    const { signal, code } = this.#ready.running.exit() ?? {}
    // The codes are those of a bash around the command, which is not killed itself.
    return (signal === 'TERM' || signal === 'KILL' || code === 143 || code === 137) && this.#deadline.isOver()
  }

  #end(stopped: Stopped | undefined, isDrained: boolean): ExecEnd {
    const { connection, running } = this.#ready
    const exit = running.exit()
    const started = this.#deadline.started()
    const hasStarted = started !== undefined
    const verdict = verdictOf({
      exit,
      hasStarted,
      hasRefused: this.#hasRefused,
      isConnectionOpen: connection.isOpen(),
      hasHostDeadline: started?.watchdogPid !== undefined,
      ...(stopped && { stopped }),
    })
    // Without a start the exit is not the command's, but that of the account's shell.
    const { code: exitCode, signal } = hasStarted && exit !== undefined ? exit : { code: null, signal: null }
    const isWhole = isDrained && !connection.cutOff.has(running.channel)
    const output = { ...this.#drain.finish(), outputComplete: isWhole && exit !== undefined }
    return { ...verdict, exitCode, signal, ...output, isRetryable: false }
  }
}

function neverSent({ reason, detail, isRetryable }: Failure): ExecEnd {
  const state = stateWithoutStart(reason)
  const [stdout, stderr] = [new OutputCap(0).end(), new OutputCap(0).end()]
  const output = { stdout, stderr, outputComplete: true }
  return { state, reason, remote: 'not_started', detail, isRetryable, exitCode: null, signal: null, ...output }
}
