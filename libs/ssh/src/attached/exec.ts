/**
 * One command on one connection, from its channel to exactly one end.
 *
 *   channel → hello → command sent → start mark seen (it runs) → exit → output drained → end
 *                          └ timeout, cancel, output limit: kill the group and look ┘
 *
 * A command's failure is a value. Nothing of the command is on the host before it was sent, so everything up to there
 * is "not started"; what the end is called is decided in verdict.ts. Does not connect, and does not store output.
 */
import { randomBytes } from 'node:crypto'
import type { OutputStream, Reason, Remote, TerminalRunState } from '@muster/contract'
import { type RunningChannel, signalChannel } from '../channel/channel.ts'
import { killGroup } from '../channel/kill.ts'
import { type GreetedChannel, type NotGreeted, openLauncherChannel } from '../channel/launcher-channel.ts'
import type { SshConnection } from '../connect/connection.ts'
import { byStream, drainAfterExit, drainOutput, type OutputReceiver } from '../output/drain.ts'
import { HARD_STOP_BYTES, OutputCap, type StreamEnd, type StreamTail } from '../output/output-cap.ts'
import { findStart, type StartMark } from '../output/start-marks.ts'
import { type Launch, writeLaunch } from '../shell/launcher.ts'
import { checkCommand, type RemoteCommand } from '../shell/remote-command.ts'
import { hostDeadlineMs } from '../shell/watchdog.ts'
import { type Exit, isSignalled } from '../verdict/exit-status.ts'
import { type Failure, failure } from '../verdict/failure.ts'
import { type KillResult, type Stopped, stateWithoutStart, verdictOf } from '../verdict/verdict.ts'
import { withinMs } from '../verdict/within-ms.ts'
import { followDeadline, type RemoteDeadline } from './remote-deadline.ts'
import { watchForStop } from './stop.ts'

/** How to run a command. */
export type ExecOptions = {
  /** From sending the command to its exit; then it is killed. Later, by itself, the host kills it too. */
  readonly execTimeoutMs: number
  /**
   * Is given a function that raises the limit while the command runs: the new one counts from the sending too, and
   * one that is not higher changes nothing. What it returns is called once the command has ended.
   */
  readonly onRaise?: (raise: (execTimeoutMs: number) => void) => () => void
  /** Longest silence on both streams; then it is killed. Time in which it waits for `onOutput` is no silence. */
  readonly idleTimeoutMs?: number
  /** Between TERM and KILL of its process group. */
  readonly killGraceMs: number
  /** Kept of each stream: half of it as the head, handed to `onOutput`, and half as the tail, given at the end. */
  readonly outputLimitBytes: number
  /** Stops it: the command is killed. The reason of the abort is told where it is `job_timeout`; else it is a cancel. */
  readonly signal: AbortSignal
  /** Takes the head of a stream as it comes. A promise makes the host wait; a rejection kills the command. */
  readonly onOutput: OutputReceiver
  /**
   * Is given, once, a function that tells the end of a stream as it is at that time: its last bytes, 64 KiB at most, and
   * where they begin; undefined while all of the stream belongs to the head.
   */
  readonly onTails?: (tailOf: (stream: OutputStream) => StreamTail | undefined) => void
  /** Asked right before the command is sent. Where the answer is no, it is not sent, and may be tried again. */
  readonly maySend?: () => boolean
  /** How much a stream may write at all before the command is killed; 64 MiB by default. */
  readonly hardStopBytes?: number
  /** For opening a channel, and again for sudo to let us through; 15 s by default. */
  readonly channelTimeoutMs?: number
}

/** How a command ended. */
export type ExecEnd = {
  readonly state: TerminalRunState
  readonly reason: Reason | null
  readonly remote: Remote
  /** The real one; null when the host reported none for the command. */
  readonly exitCode: number | null
  /** Without "SIG"; null when no signal was reported. */
  readonly signal: string | null
  /** The reason in words; null for success. */
  readonly detail: string | null
  /** Whether another try may go better: only where nothing was ever sent, and the cause may pass. */
  readonly isRetryable: boolean
  readonly stdout: StreamEnd
  readonly stderr: StreamEnd
  /** False when output may be missing: something still held the streams, or the connection was lost. */
  readonly outputComplete: boolean
}

const CHANNEL_TIMEOUT_MS = 15_000
/** How long the launcher of a command that is to be stopped may take to say what to kill. */
const START_MS = 5_000
/** How long the host may take to report the exit of a command that was killed. */
const REPORT_MS = 2_000

/** A command that only waits to be sent: its channel is open, and nothing of it is on the host yet. */
export type ReadyCommand = {
  readonly connection: SshConnection
  readonly running: GreetedChannel
  readonly launch: Launch & Pick<RemoteCommand, 'sudo'>
  readonly nonce: string
}

/**
 * Goes all the way to where a command can be sent. What it gives is to be handed to `sendCommand`, or its channel
 * closed; a failure means that nothing was sent.
 * @throws {MusterError} invalid_request: the command cannot be expressed; nothing was sent.
 */
export async function readyCommand(
  connection: SshConnection,
  command: RemoteCommand,
  options: Pick<ExecOptions, 'execTimeoutMs' | 'killGraceMs' | 'channelTimeoutMs' | 'signal'>,
): Promise<ReadyCommand | NotGreeted> {
  checkCommand(command)
  const nonce = randomBytes(16).toString('hex')
  const { execTimeoutMs, killGraceMs, signal } = options
  const { sudo } = command
  const timeoutMs = channelTimeoutOf(options)
  const opened = await openLauncherChannel(connection, { sudo, timeoutMs, signal, nonce })
  if ('failure' in opened) return opened
  const afterMs = hostDeadlineMs(execTimeoutMs, killGraceMs)
  const launch = writeLaunch(command, nonce, opened.hello, { afterMs, graceMs: killGraceMs })
  if (!('cannot' in launch)) {
    const running = launch.isJob ? { ...opened, exit: () => exitOfJob(opened.exit()) } : opened
    return { connection, running, launch: { ...launch, sudo }, nonce }
  }
  opened.channel.close()
  const detail = `${connection.hostName}: ${launch.cannot}`
  return { failure: failure('channel_refused', detail, { isRetryable: false, isHostsFault: false }), hasShell: true }
}

/**
 * Sends a command and follows it to its end. Rejects only with the error of `onOutput`, after the command was killed.
 * @param options the same limits as it was made ready with
 */
export async function sendCommand(ready: ReadyCommand, options: ExecOptions): Promise<ExecEnd> {
  const { connection, running, launch, nonce } = ready
  try {
    if (connection.channels.has(running.channel)) {
      if (options.maySend?.() === false) {
        return neverSent(failure('worker_lost', 'it was too late to send the command'))
      }
      return await supervise(connection, running, launch, nonce, { ...options, sudo: launch.sudo })
    }
    return neverSent(failure('conn_lost', `${connection.hostName}: the channel ended before the command was sent`))
  } finally {
    running.channel.close()
  }
}

/**
 * Runs a command. Rejects only with the error of `onOutput` (after the command was killed), or when the command is
 * malformed.
 * @throws {MusterError} invalid_request: the command cannot be expressed; nothing was sent.
 */
export async function exec(connection: SshConnection, command: RemoteCommand, options: ExecOptions): Promise<ExecEnd> {
  const ready = await readyCommand(connection, command, options)
  return 'failure' in ready ? neverSent(ready.failure) : await sendCommand(ready, options)
}

async function supervise(
  connection: SshConnection,
  running: GreetedChannel,
  launch: Launch & Pick<RemoteCommand, 'sudo'>,
  nonce: string,
  options: ExecOptions & Pick<RemoteCommand, 'sudo'>,
): Promise<ExecEnd> {
  const { channel } = running
  const stop = watchForStop(options.execTimeoutMs, options.signal)
  const deadline = followDeadline(connection, { ...options, channelTimeoutMs: channelTimeoutOf(options) })
  const release = options.onRaise?.((limitMs) => stop.raise(limitMs) && deadline.moveBehind(limitMs))
  let onStart = () => {}
  const startSeen = new Promise<void>((resolve) => {
    onStart = resolve
  })
  let fault: { readonly error: unknown } | undefined
  const onMark = (mark: StartMark) => {
    deadline.hasStarted({ ...mark, isGroup: launch.isGroup })
    onStart()
    // Not before: what reads the text may read further, and would swallow the input (shell-text.ts).
    if (launch.input !== undefined && !stop.isRequested()) channel.end(launch.input)
  }
  let hasRefused = false
  const onNever = () => {
    hasRefused = true
  }
  const drain = drainOutput(channel, {
    caps: { stdout: new OutputCap(options.outputLimitBytes), stderr: new OutputCap(options.outputLimitBytes) },
    onOutput: options.onOutput,
    onBytes: (streamBytes) => {
      if (streamBytes > (options.hardStopBytes ?? HARD_STOP_BYTES)) stop.request('output_limit')
    },
    onFault: (error) => {
      fault ??= { error }
      stop.request('fault')
    },
    heard: running.heard,
    split: byStream(findStart(nonce, onMark, { onNever, bySudo: options.sudo !== undefined })),
  })
  options.onTails?.(drain.tailOf)
  if (options.idleTimeoutMs !== undefined) stop.watchSilence(options.idleTimeoutMs, drain.quietMs)
  if (launch.body !== undefined) channel.write(launch.text)
  const last = launch.body ?? launch.text
  if (launch.input === undefined) channel.end(last)
  else channel.write(last)

  const requested = await Promise.race([running.exited, stop.requested])
  stop.release()
  release?.()
  const isOverdue = () => isEndedByHost(running, deadline)
  const cause = requested ?? (isOverdue() ? 'exec_timeout' : undefined)
  let stopped: Stopped | undefined
  if (cause !== undefined && (running.exit() === undefined || isOverdue())) {
    await withinMs(START_MS, Promise.race([startSeen, running.exited]))
    stopped = { cause, kill: await stopCommand(connection, running, deadline, options) }
    await withinMs(REPORT_MS, running.exited)
  }
  const isDrained = await drainAfterExit(drain)
  await drain.stop()
  await withinMs(START_MS, deadline.settle())
  if (fault !== undefined) throw fault.error

  const exit = running.exit()
  const started = deadline.started()
  const hasStarted = started !== undefined
  const hasHostDeadline = started?.watchdogPid !== undefined
  const known = { exit, hasStarted, hasRefused, isConnectionOpen: connection.isOpen(), hasHostDeadline }
  const verdict = verdictOf({ ...known, ...(stopped && { stopped }) })
  // Without a start the exit is not the command's, but that of the account's shell.
  const { code: exitCode, signal } = hasStarted && exit !== undefined ? exit : { code: null, signal: null }
  const output = { ...drain.finish(), outputComplete: isDrained && exit !== undefined }
  return { ...verdict, exitCode, signal, ...output, isRetryable: false }
}

async function stopCommand(
  connection: SshConnection,
  running: RunningChannel,
  deadline: RemoteDeadline,
  options: ExecOptions & Pick<RemoteCommand, 'sudo'>,
): Promise<KillResult> {
  const hasExited = () => running.exit() !== undefined && !isEndedByHost(running, deadline)
  if (hasExited()) return 'not_sent'
  // A watchdog that is just being replaced would be missed.
  await withinMs(START_MS, deadline.settle())
  const started = deadline.started()
  const signal = (name: 'TERM' | 'KILL') => signalChannel(connection, running.channel, name)
  const { killGraceMs: graceMs, sudo } = options
  const how = { graceMs, channelTimeoutMs: channelTimeoutOf(options), hasExited, signal, sudo }
  const kill = started === undefined ? 'not_sent' : await killGroup(connection, started, how)
  // The last resort, of which no answer comes.
  if (kill === 'not_sent' && running.exit() === undefined) signal('KILL')
  // Gone before our signal, but by the watchdog's: that is a kill that worked.
  return kill === 'was_gone' && isEndedByHost(running, deadline) ? 'ended' : kill
}

/** Whether the command was ended by its watchdog: this side was not there in time, or could not move the deadline. */
function isEndedByHost(running: RunningChannel, deadline: RemoteDeadline): boolean {
  const { signal, code } = running.exit() ?? {}
  // The codes are those of a bash around the command, which is not killed itself.
  return (signal === 'TERM' || signal === 'KILL' || code === 143 || code === 137) && deadline.isOver()
}

/**
 * The exit of a command that bash runs as its job. A signal has ended that bash and not the command, which may run on:
 * nothing is known then.
 */
function exitOfJob(exit: Exit | undefined): Exit | undefined {
  return exit === undefined || isSignalled(exit) ? undefined : exit
}

function channelTimeoutOf({ channelTimeoutMs = CHANNEL_TIMEOUT_MS }: Pick<ExecOptions, 'channelTimeoutMs'>): number {
  return channelTimeoutMs
}

function neverSent({ reason, detail, isRetryable }: Failure): ExecEnd {
  const state = stateWithoutStart(reason)
  const [stdout, stderr] = [new OutputCap(0).end(), new OutputCap(0).end()]
  const output = { stdout, stderr, outputComplete: true }
  return { state, reason, remote: 'not_started', detail, isRetryable, exitCode: null, signal: null, ...output }
}
