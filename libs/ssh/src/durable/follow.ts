/**
 * Durable mode: a command that is started detached on its host, and followed over as many connections as it takes.
 *
 *   channel → launcher → files of the command → claimed (once, by the host) → output by offset → result → end
 *                └ connection lost: again, on another one ┘   └ cancel: stopped from beside, and looked for ┘
 *
 * Every call is one connection. "Not started" is only said when it is proven, and where it was not yet, it is made so:
 * by taking the place of a launcher that may still be under way. Does not connect, and does not decide about retries.
 */
import { randomBytes } from 'node:crypto'
import type { ClientChannel } from 'ssh2'
import { type GreetedChannel, openLauncherChannel } from '../channel/launcher-channel.ts'
import type { SshConnection } from '../connect/connection.ts'
import { type Drain, drainOutput } from '../output/drain.ts'
import { HARD_STOP_BYTES } from '../output/output-cap.ts'
import { findHello } from '../shell/hello.ts'
import { writeProgram } from '../shell/launcher.ts'
import { checkCommand, type RemoteCommand } from '../shell/remote-command.ts'
import type { StopCause } from '../verdict/verdict.ts'
import { withinMs } from '../verdict/within-ms.ts'
import { type DurableClock, type StopRequest, startClock, watchForStop } from './clock.ts'
import { cannotHold, type DurableEnd, disconnected, type Report, type StoppedRun, settle } from './end.ts'
import { type DurableLaunch, writeDurable } from './launch.ts'
import { raiseDurable, stopDurable } from './orders.ts'
import type { DurableRun } from './run.ts'
import { splitDurable } from './stream.ts'
import type { DurableLimits } from './supervisor.ts'
import { type DurableWord, parseWord } from './words.ts'

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
/** Written at once of what a host asks for: as long as it takes one piece after the other, it is at work. */
const PIECE_BYTES = 256 * 1024

/**
 * Starts a durable run, or finds it again, and follows it. Rejects only with the error of `onOutput` (after the command
 * was stopped), or when the command is malformed.
 * @throws {MusterError} invalid_request: the command cannot be expressed; nothing was sent.
 */
export async function followDurable(
  connection: SshConnection,
  run: DurableRun,
  options: FollowOptions,
): Promise<DurableEnd> {
  const { command, limits, signal } = options
  if (command !== undefined) checkCommand(command)
  // The first is on a command line, for everybody to read; the other must not be known to the command.
  const [greeting, nonce] = [randomBytes(16).toString('hex'), randomBytes(16).toString('hex')]
  // As long as nothing of the command was ever sent, it is not started, whatever else goes wrong.
  const isFresh = command !== undefined && !run.wasSent
  const timeoutMs = options.channelTimeoutMs ?? CHANNEL_TIMEOUT_MS
  const opening = { sudo: run.sudo, timeoutMs, nonce: greeting, ...(isFresh && { signal }) }
  const greeted = await openLauncherChannel(connection, opening)
  if ('failure' in greeted) {
    return isFresh
      ? { kind: 'not_started', failure: greeted.failure }
      : disconnected(greeted.failure.detail, greeted.failure.isRetryable)
  }
  try {
    if (greeted.hello.isRestricted)
      return cannotHold(connection.hostName, isFresh, 'the shell of the account is restricted')
    const from = { stdout: run.caps.stdout.bytes, stderr: run.caps.stderr.bytes }
    // The account may have only one of the streams: on this one its shell was heard.
    const writesTo = findHello(greeting, greeted.heard.stdout) === undefined ? 'stderr' : 'stdout'
    const launch = writeDurable(run, { nonce, from, limits, command, writesTo })
    return await follow(connection, run, options, { greeted, launch, nonce, isFresh, timeoutMs })
  } finally {
    greeted.channel.close()
  }
}

type Opened = {
  readonly greeted: GreetedChannel
  readonly launch: DurableLaunch
  readonly nonce: string
  readonly isFresh: boolean
  readonly timeoutMs: number
}

async function follow(
  connection: SshConnection,
  run: DurableRun,
  options: FollowOptions,
  { greeted, launch, nonce, isFresh, timeoutMs }: Opened,
): Promise<DurableEnd> {
  const { channel, exited, heard } = greeted
  const { limits } = options
  const stop = watchForStop(options.signal)
  const clock = startClock({
    ...{ execTimeoutMs: limits.execTimeoutMs, lateMs: limits.killGraceMs + CLOCK_GRACE_MS, muteMs: timeoutMs },
    onTimeout: () => stop.request('exec_timeout'),
    onMute: () => stop.request('mute'),
    raise: (execTimeoutMs) => raiseDurable(connection, run, execTimeoutMs),
  })
  const takeBack = options.onRaise?.(clock.raiseTo)
  let input = launch.input
  const { report, finished, onLine } = listen((word) => {
    clock.heard()
    if (word.word === 'input' && input !== undefined && !stop.isRequested()) {
      run.noteSent(word.place)
      void writeInPieces(channel, input, clock)
      input = undefined
    }
    if (word.word === 'output') {
      run.noteStarted()
      clock.start(word.ageMs)
      options.onStarted?.()
    }
  })
  let fault: { readonly error: unknown } | undefined
  const drain = drainOutput(channel, {
    caps: run.caps,
    onOutput: run.onOutput,
    onBytes: (streamBytes) => {
      if (streamBytes > (limits.hardStopBytes ?? HARD_STOP_BYTES)) stop.request('output_limit')
    },
    onFault: (error) => {
      fault ??= { error }
      stop.request('fault')
    },
    split: splitDurable(nonce, onLine),
    heard,
  })
  // Its stdin stays open: that is how the follower knows that somebody listens.
  channel.write(writeProgram(launch.program))

  let isDrained = false
  const ended = drain.ended.then(() => {
    isDrained = true
  })
  const closed = exited.then(async () => {
    // The receiver may be slow: what it has not taken yet is still to come.
    do await withinMs(DRAIN_MS, Promise.race([finished, ended]))
    while (drain.isPaused() && !isDrained && report.end === undefined)
  })
  const over = Promise.race([finished, closed]).then(() => undefined)
  const asked = await Promise.race([over, stop.requested])
  let stopped: StoppedRun | undefined
  // What was never sent needs no kill.
  if (isKill(asked) && (run.wasSent || run.hasStarted || !isFresh)) {
    stopped = { cause: asked, kill: await stopDurable(connection, run, asked, limits.killGraceMs) }
    await waitForResult(drain, stopped, over)
  }
  stop.release()
  clock.stop()
  takeBack?.()
  await drain.stop()
  // It ends by itself now. dropbear takes the next channel amiss while a process of the last one is being killed.
  if (report.end !== undefined) await withinMs(DRAIN_MS, exited)
  if (fault !== undefined) throw fault.error
  const deadEnd = isDrained ? greeted.exit() : undefined
  const { hostName } = connection
  return settle(run, { report, asked, stopped, isFresh, deadEnd, isConnectionOpen: connection.isOpen(), hostName })
}

function isKill(asked: StopRequest | undefined): asked is StopCause {
  return asked !== undefined && asked !== 'detach' && asked !== 'mute'
}

/** What was gone has a result, which comes behind all the output. */
async function waitForResult(drain: Drain, { kill }: StoppedRun, over: Promise<undefined>): Promise<void> {
  let isTold = false
  const told = over.then(() => {
    isTold = true
  })
  for (let bytes = -1; !isTold && (bytes < drain.bytes() || drain.isPaused()); ) {
    bytes = drain.bytes()
    await withinMs(RESULT_MS, told)
    if (kill !== 'was_gone') break
  }
}

async function writeInPieces(channel: ClientChannel, input: readonly Buffer[], clock: DurableClock): Promise<void> {
  for (const bytes of input) {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      await new Promise<void>((resolve) => {
        channel.write(bytes.subarray(at, at + PIECE_BYTES), () => resolve())
      })
      clock.heard()
    }
  }
}

/** What the follower says about itself, as it comes. */
function listen(onWord: (word: DurableWord) => void) {
  const report: Report = {}
  let onFinished = () => {}
  const finished = new Promise<void>((resolve) => {
    onFinished = resolve
  })
  const onLine = (line: string) => {
    const word = parseWord(line)
    // The first of them is the last one: nothing of ours follows it.
    if (word === undefined || report.end !== undefined || report.refusal !== undefined) return
    if (word.word === 'refused') report.refusal = word.why
    if (word.word === 'end') report.end = word.end
    onWord(word)
    if (report.end !== undefined || report.refusal !== undefined) onFinished()
  }
  return { report, finished, onLine }
}
