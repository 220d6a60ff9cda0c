/**
 * Durable mode: a command that is started detached on its host, and followed over as many connections as it takes.
 *
 *   channel → launcher → claimed (once, by the host) → output by offset → result → end
 *                └ connection lost: again, on another one ┘   └ cancel: stopped from beside, and looked for ┘
 *
 * Every call is one connection. "Not started" is only said when it is proven, and where it was not yet, it is made so:
 * by taking the place of a launcher that may still be under way. Does not connect, and does not decide about retries.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SshConnection } from './connection.ts'
import { drainOutput } from './drain.ts'
import { disconnected, type Followed, type Report, settle } from './durable-end.ts'
import { type DurableLaunch, writeDurable } from './durable-launcher.ts'
import { type DurableStop, raiseDurable, stopDurable } from './durable-orders.ts'
import type { DurableRun } from './durable-run.ts'
import { betweenMarkers } from './durable-stream.ts'
import type { DurableLimits } from './durable-supervisor.ts'
import { writeProgram } from './launcher.ts'
import { type GreetedChannel, openLauncherChannel } from './launcher-channel.ts'
import { HARD_STOP_BYTES } from './output-cap.ts'
import type { RemoteCommand } from './remote-command.ts'
import type { StopCause } from './verdict.ts'
import { withinMs } from './within-ms.ts'

/** How to follow a durable run. */
export type FollowOptions = {
  /** Undefined: only looks for a run that another worker may have started, and never starts it. */
  readonly command: RemoteCommand | undefined
  /** Kept by the host from the start on. On a later connection a higher time limit raises that of the host. */
  readonly limits: DurableLimits
  /**
   * Aborted with the reason "detach": stops following, and leaves the command alone. With "job_timeout" or any other
   * reason: the command is killed, and the end says so.
   */
  readonly signal: AbortSignal
  /** Given what raises the time limit, counted from the start; returns what takes it back. */
  readonly onRaise?: (raise: (execTimeoutMs: number) => void) => () => void
  /** Called when it is known that the command has started. */
  readonly onStarted?: () => void
  /** For opening a channel, and again for the host to say that the command has started; 15 s by default, each. */
  readonly channelTimeoutMs?: number
}

const CHANNEL_TIMEOUT_MS = 15_000
/** How long the host may be late with its own clock before this side takes over: its supervisor may be dead. */
const CLOCK_GRACE_MS = 10_000
/** How long the result of a command that was stopped may take. */
const RESULT_MS = 5_000
/** How long what is still under way may take after the follower has ended. */
const DRAIN_MS = 2_000
const RAISE_AGAIN_MS = 1_000
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Starts a durable run, or finds it again, and follows it. Rejects only with the error of `onOutput` (after the command
 * was stopped), or when the command is malformed.
 * @throws {MusterError} invalid_request: the command cannot be expressed; nothing was sent.
 */
export async function followDurable(
  connection: SshConnection,
  run: DurableRun,
  options: FollowOptions,
): Promise<Followed> {
  const { command, limits, signal } = options
  const nonce = randomBytes(16).toString('hex')
  const offsets = { stdout: run.caps.stdout.bytes, stderr: run.caps.stderr.bytes }
  const launch = writeDurable(run.runId, nonce, offsets, limits, command)
  // Nothing was ever sent, so that whatever goes wrong before the launcher is "not started".
  const isFresh = command !== undefined && !run.wasLaunched
  const timeoutMs = options.channelTimeoutMs ?? CHANNEL_TIMEOUT_MS
  const { sudo } = run
  const opened = await openLauncherChannel(connection, { sudo, timeoutMs, ...(isFresh && { signal }) })
  if ('failure' in opened) {
    return isFresh
      ? { kind: 'not_started', failure: opened.failure }
      : disconnected(opened.failure.detail, opened.failure.isRetryable)
  }
  if (command !== undefined) run.noteLaunch()
  try {
    return await follow(connection, run, options, { running: opened, launch, nonce, isFresh })
  } finally {
    opened.channel.close()
  }
}

type Sent = {
  readonly running: GreetedChannel
  readonly launch: DurableLaunch
  readonly nonce: string
  readonly isFresh: boolean
}

async function follow(
  connection: SshConnection,
  run: DurableRun,
  options: FollowOptions,
  { running, launch, nonce, isFresh }: Sent,
): Promise<Followed> {
  const { channel, exited } = running
  const stop = watchForStop(options.signal)
  let isMute = false
  const clock = watchClock(connection, run, options, {
    onTimeout: () => stop.request('exec_timeout'),
    onMute: () => {
      isMute = true
      stop.request('detach')
    },
  })
  let fault: { readonly error: unknown } | undefined
  const { report, finished, onStderrLine, onStdoutLine } = listen({
    onInput: () => channel.write(launch.input),
    onAnswer: () => {
      if (options.command !== undefined) run.noteAnswer()
    },
    onStarted: () => {
      clock.start()
      options.onStarted?.()
    },
  })
  const drain = drainOutput(channel, {
    caps: run.caps,
    onOutput: run.onOutput,
    onBytes: (streamBytes) => {
      if (streamBytes > (options.limits.hardStopBytes ?? HARD_STOP_BYTES)) stop.request('output_limit')
    },
    onFault: (error) => {
      fault ??= { error }
      stop.request('fault')
    },
    heard: running.heard,
    marks: { stdout: betweenMarkers(nonce, onStdoutLine), stderr: betweenMarkers(nonce, onStderrLine) },
  })
  // Its stdin stays open: that is how the follower knows that somebody listens.
  channel.write(writeProgram(launch.program, running.hello))

  let isDrained = false
  const ended = drain.ended.then(() => {
    isDrained = true
  })
  const closed = exited.then(async () => {
    // The receiver may be slow: what it has not taken yet is still to come.
    do await withinMs(DRAIN_MS, Promise.race([finished, ended]))
    while (drain.isPaused() && !isDrained && report.end === undefined)
  })
  const asked = await Promise.race([finished, closed, stop.requested])
  let stopped: { readonly cause: StopCause; readonly outcome: DurableStop } | undefined
  if (asked !== undefined && asked !== 'detach') {
    const outcome = await stopDurable(connection, run, asked, options.limits.killGraceMs)
    stopped = { cause: asked, outcome }
    let isTold = false
    const told = Promise.race([finished, closed]).then(() => {
      isTold = true
    })
    // What was gone has a result, which comes behind all the output.
    for (let bytes = -1; !isTold && (bytes < drain.bytes() || drain.isPaused()); ) {
      bytes = drain.bytes()
      await withinMs(RESULT_MS, told)
      if (outcome !== 'was_gone') break
    }
  }
  stop.release()
  clock.release()
  await drain.stop()
  if (fault !== undefined) throw fault.error
  if (asked === 'detach' && report.end === undefined) {
    // Whether it runs is not known: another connection finds out, and kills nothing that may be well.
    return disconnected(isMute ? 'the host did not say in time whether it runs' : 'it was left to run on')
  }
  const deadEnd = isDrained ? running.exit() : undefined
  const { hostName } = connection
  return settle(run, { report, stopped, isFresh, deadEnd, isConnectionOpen: connection.isOpen(), hostName })
}

/** What the follower says about itself, as it comes. */
function listen(on: { onInput: () => void; onAnswer: () => void; onStarted: () => void }) {
  const report: Report = {}
  let isStdoutOver = false
  let onFinished = () => {}
  const finished = new Promise<void>((resolve) => {
    onFinished = resolve
  })
  const finish = () => {
    if (report.refusal !== undefined || (report.end !== undefined && isStdoutOver)) onFinished()
  }
  const onStderrLine = (line: string) => {
    const [word, rest = ''] = line.split(/:(.*)/s)
    report.hasBegun = true
    if (word === 'input') return on.onInput()
    if (word === 'begin') return
    if (!report.hasAnswered) on.onAnswer()
    report.hasAnswered = true
    if (word === 'output') on.onStarted()
    if (word === 'refused') report.refusal = rest
    if (word === 'end') report.end = rest
    finish()
  }
  const onStdoutLine = (line: string) => {
    isStdoutOver ||= line === 'end'
    finish()
  }
  return { report, finished, onStderrLine, onStdoutLine }
}

/** The clock of this side, for a host whose own has stopped; and the time limit as it is raised. */
function watchClock(
  connection: SshConnection,
  run: DurableRun,
  options: FollowOptions,
  { onTimeout, onMute }: { readonly onTimeout: () => void; readonly onMute: () => void },
) {
  let { execTimeoutMs } = options.limits
  let startedAt: number | undefined
  let timer: NodeJS.Timeout | undefined
  let isOver = false
  const arm = () => {
    clearTimeout(timer)
    if (isOver) return
    if (startedAt === undefined) {
      timer = setTimeout(onMute, options.channelTimeoutMs ?? CHANNEL_TIMEOUT_MS)
      return
    }
    const leftMs = startedAt + execTimeoutMs + options.limits.killGraceMs + CLOCK_GRACE_MS - performance.now()
    timer = setTimeout(onTimeout, Math.min(MAX_TIMER_MS, Math.max(0, leftMs)))
  }
  const raise = async () => {
    const wanted = execTimeoutMs
    while (!isOver && wanted === execTimeoutMs && !(await raiseDurable(connection, run, wanted))) {
      await sleep(RAISE_AGAIN_MS)
    }
  }
  const takeBack = options.onRaise?.((raisedMs) => {
    if (raisedMs <= execTimeoutMs) return
    execTimeoutMs = raisedMs
    // Before the start there is no limit to raise; the raised one is sent when there is.
    if (startedAt === undefined) return
    arm()
    void raise().catch(() => {})
  })
  const start = () => {
    startedAt = performance.now()
    arm()
    if (execTimeoutMs !== options.limits.execTimeoutMs) void raise().catch(() => {})
  }
  arm()
  const release = () => {
    isOver = true
    clearTimeout(timer)
    takeBack?.()
  }
  return { start, release }
}

function watchForStop(signal: AbortSignal) {
  let request = (_cause: StopCause | 'detach') => {}
  const requested = new Promise<StopCause | 'detach'>((resolve) => {
    request = resolve
  })
  const onAbort = () => {
    const { reason } = signal
    request(reason === 'detach' || reason === 'job_timeout' ? reason : 'cancelled_by_user')
  }
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  return {
    requested,
    request: (cause: StopCause | 'detach') => request(cause),
    release: () => signal.removeEventListener('abort', onAbort),
  }
}
