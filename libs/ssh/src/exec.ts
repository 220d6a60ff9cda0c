/**
 * One command on one connection, from its channel to exactly one end.
 *
 *   channel → launcher sent → marker seen (it runs) → exit → output drained → end
 *                 └ timeout, cancel, output limit: kill the group and look ┘
 *
 * A command's failure is a value. Nothing of the command runs before the launcher was sent, so everything up to there
 * is "not started"; what the end is called is decided in verdict.ts. Does not connect, and does not store output.
 */
import { randomBytes } from 'node:crypto'
import type { Reason, Remote, TerminalRunState } from '@muster/contract'
import { openChannel, type RunningChannel } from './channel.ts'
import type { SshConnection } from './connection.ts'
import { type Drain, drainOutput, type OutputReceiver } from './drain.ts'
import type { Failure } from './failure.ts'
import { type KillOutcome, killGroup, withinMs } from './kill.ts'
import { findMarker, type Launch, type RemoteCommand, type Started, writeLaunch } from './launcher.ts'
import { OutputCap, type StreamEnd } from './output-cap.ts'
import { endingOf, type StopCause, type Stopped } from './verdict.ts'

/** How to run a command. */
export type ExecOptions = {
  /** From sending the command to its exit; then it is killed. */
  readonly execTimeoutMs: number
  /** Between TERM and KILL of its process group. */
  readonly killGraceMs: number
  /** Kept of each stream: half of it as the head, handed to `onOutput`, and half as the tail, given at the end. */
  readonly outputLimitBytes: number
  /** Cancels: the command is killed. */
  readonly signal: AbortSignal
  /** Takes the head of a stream as it comes. A promise makes the host wait; a rejection kills the command. */
  readonly onOutput: OutputReceiver
  /** How much a stream may write at all before the command is killed; 64 MiB by default. */
  readonly hardStopBytes?: number
  /** For opening a channel; 15 s by default. */
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
  readonly stdout: StreamEnd
  readonly stderr: StreamEnd
  /** False when output may be missing: something still held the streams, or the connection was lost. */
  readonly outputComplete: boolean
}

/** The point at which output is no longer the result of a command but an accident. */
const HARD_STOP_BYTES = 64 * 1024 * 1024
const CHANNEL_TIMEOUT_MS = 15_000
/** How long the launcher of a command that is to be stopped may take to say what to kill. */
const START_MS = 5_000
/** How long a silent background child may hold the streams of a command that has exited. */
const QUIET_AFTER_EXIT_MS = 2_000
/** The same for one that goes on writing; long enough for what was still under way on a slow line. */
const OUTPUT_AFTER_EXIT_MS = 10_000
/** How long the host may take to report the exit of a command that was killed. */
const REPORT_MS = 2_000
const DRAIN_STEP_MS = 100

/**
 * Runs a command. Rejects only with the error of `onOutput` (after the command was killed), or when the command is
 * malformed.
 * @throws {MusterError} invalid_request: the command cannot be expressed; nothing was sent.
 */
export async function exec(connection: SshConnection, command: RemoteCommand, options: ExecOptions): Promise<ExecEnd> {
  const nonce = randomBytes(16).toString('hex')
  const launch = writeLaunch(command, nonce)
  const timeoutMs = options.channelTimeoutMs ?? CHANNEL_TIMEOUT_MS
  const opened = await openChannel(connection, launch.line, { timeoutMs, signal: options.signal })
  if ('failure' in opened) return neverSent(opened.failure)
  try {
    return await supervise(connection, opened, launch, nonce, options)
  } finally {
    opened.channel.close()
  }
}

async function supervise(
  connection: SshConnection,
  running: RunningChannel,
  launch: Launch,
  nonce: string,
  options: ExecOptions,
): Promise<ExecEnd> {
  const { channel } = running
  const stop = watchForStop(options)
  let onStart = () => {}
  const startSeen = new Promise<void>((resolve) => {
    onStart = resolve
  })
  let started: Started | undefined
  let fault: { readonly error: unknown } | undefined
  const drain = drainOutput(channel, {
    limitBytes: options.outputLimitBytes,
    onOutput: options.onOutput,
    onBytes: (streamBytes) => {
      if (streamBytes > (options.hardStopBytes ?? HARD_STOP_BYTES)) stop.request('output_limit')
    },
    onFault: (error) => {
      fault ??= { error }
      stop.request('fault')
    },
    marker: findMarker(nonce, (found) => {
      started = found
      onStart()
      // Not before: where head reads further than it was asked to (busybox), it would swallow the input.
      if (launch.input !== undefined && !stop.isRequested()) channel.end(launch.input)
    }),
  })
  if (launch.input === undefined) channel.end(launch.launcher)
  else channel.write(launch.launcher)

  const cause = await Promise.race([running.exited, stop.requested])
  stop.release()
  let stopped: Stopped | undefined
  if (cause !== undefined && running.exit() === undefined) {
    await withinMs(START_MS, Promise.race([startSeen, running.exited]))
    stopped = { cause, outcome: await stopCommand(connection, running, started, options) }
    await withinMs(REPORT_MS, running.exited)
  }
  const isDrained = await drainFor(stopped === undefined ? OUTPUT_AFTER_EXIT_MS : REPORT_MS, drain)
  await drain.stop()
  if (fault !== undefined) throw fault.error

  const exit = running.exit()
  const isConnectionOpen = connection.isOpen()
  const hasStarted = started !== undefined
  const ending = endingOf({ exit, hasStarted, isDrained, isConnectionOpen, ...(stopped && { stopped }) })
  // Without a start the exit is not the command's, but that of the account's shell.
  const { code: exitCode, signal } = hasStarted && exit !== undefined ? exit : { code: null, signal: null }
  return { ...ending, exitCode, signal, ...drain.finish(), outputComplete: isDrained && exit !== undefined }
}

async function stopCommand(
  connection: SshConnection,
  running: RunningChannel,
  started: Started | undefined,
  { killGraceMs, channelTimeoutMs = CHANNEL_TIMEOUT_MS }: ExecOptions,
): Promise<KillOutcome> {
  const hasExited = () => running.exit() !== undefined
  if (hasExited()) return 'not_sent'
  const outcome =
    started === undefined
      ? 'not_sent'
      : await killGroup(connection, started, { graceMs: killGraceMs, channelTimeoutMs, hasExited })
  // The last resort, of which no answer comes: the host's own way to signal. ssh2 drops it once stdin has ended.
  if (outcome === 'not_sent' && !hasExited()) running.channel.signal('KILL')
  return outcome
}

/** Waits for the streams to end, for this long at most and not counting the time the host waits for us. */
async function drainFor(limitMs: number, drain: Drain): Promise<boolean> {
  let isDrained = false
  const ended = drain.ended.then(() => {
    isDrained = true
  })
  let waitedMs = 0
  let quietMs = 0
  let bytes = drain.bytes()
  while (waitedMs < limitMs && quietMs < QUIET_AFTER_EXIT_MS) {
    await withinMs(DRAIN_STEP_MS, ended)
    if (isDrained) return true
    if (drain.isPaused()) continue
    waitedMs += DRAIN_STEP_MS
    quietMs = drain.bytes() === bytes ? quietMs + DRAIN_STEP_MS : 0
    bytes = drain.bytes()
  }
  return false
}

function watchForStop({ execTimeoutMs, signal }: ExecOptions) {
  let isRequested = false
  let request = (_cause: StopCause) => {}
  const requested = new Promise<StopCause>((resolve) => {
    request = (cause) => {
      isRequested = true
      resolve(cause)
    }
  })
  const timer = setTimeout(() => request('exec_timeout'), execTimeoutMs)
  const onAbort = () => request('cancelled_by_user')
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  const release = () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
  return { requested, request: (cause: StopCause) => request(cause), isRequested: () => isRequested, release }
}

function neverSent({ reason, detail }: Failure): ExecEnd {
  const state = reason === 'cancelled_by_user' ? 'cancelled' : 'unreachable'
  const [stdout, stderr] = [new OutputCap(0).end(), new OutputCap(0).end()]
  const output = { stdout, stderr, outputComplete: true }
  return { state, reason, remote: 'not_started', detail, exitCode: null, signal: null, ...output }
}
