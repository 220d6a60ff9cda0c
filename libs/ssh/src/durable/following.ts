/**
 * One connection to a durable run, from the launcher to the last word of the follower: hands out the files of the
 * command, reads its output, keeps its clocks, has it stopped, and settles how it ended.
 */

import type { GreetedChannel } from '../channel/launcher-channel.ts'
import type { SshConnection } from '../connect/connection.ts'
import { type Drain, drainOutput } from '../output/drain.ts'
import { HARD_STOP_BYTES } from '../output/output-cap.ts'
import { writeProgram } from '../shell/launcher.ts'
import type { RemoteCommand } from '../shell/remote-command.ts'
import { withinMs } from '../verdict/within-ms.ts'
import { type DurableClock, startClock } from './clock.ts'
import { type DurableEnd, type Heard, type StoppedRun, settle } from './end.ts'
import { type FollowStop, type FollowStops, isKill, watchForFollowStop } from './follow-stop.ts'
import type { DurableLaunch } from './launch.ts'
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
  /** Is given a function that raises the time limit, counted from the start. Returns the function to unregister it. */
  readonly onRaise?: (raise: (execTimeoutMs: number) => void) => () => void
  /** Called when it is known that the command has started. */
  readonly onStarted?: () => void
  /** For opening a channel, and again for the host to say that the command has started; 15 s by default, each. */
  readonly channelTimeoutMs?: number
}

/** How late the host may be by its own clock before this side takes over: its supervisor may be dead. */
const CLOCK_GRACE_MS = 10_000
/** How long the result of a command that was stopped may take. */
const RESULT_MS = 5_000
/** How long what is still under way may take after the follower has ended. */
const DRAIN_MS = 2_000
/** Written at once of the files a host asks for. As long as it takes one piece after the other, it is at work. */
const PIECE_BYTES = 256 * 1024

/** What the connection has opened, and what it has written to the launcher. */
export type Opened = {
  readonly greeted: GreetedChannel
  readonly launch: DurableLaunch
  readonly nonce: string
  readonly isFresh: boolean
  readonly timeoutMs: number
}

/** One connection to a run. */
export class Following {
  readonly #connection: SshConnection
  readonly #run: DurableRun
  readonly #options: FollowOptions
  readonly #opened: Opened
  readonly #stop: FollowStops
  readonly #clock: DurableClock
  readonly #drain: Drain
  readonly #heard: Heard = {}
  /** Resolves with the follower's last word. */
  readonly #finished: Promise<void>
  #onFinished: () => void = () => {}
  /** The files of the command, until the host has asked for them. */
  #input: readonly Buffer[] | undefined
  #fault: { readonly error: unknown } | undefined
  /** Whether all output was read to the end of its streams. */
  #isDrained = false

  constructor(connection: SshConnection, run: DurableRun, options: FollowOptions, opened: Opened) {
    this.#connection = connection
    this.#run = run
    this.#options = options
    this.#opened = opened
    this.#input = opened.launch.input
    this.#stop = watchForFollowStop(options.signal)
    this.#finished = new Promise((resolve) => {
      this.#onFinished = resolve
    })
    this.#clock = this.#startClock()
    this.#drain = this.#readOutput()
  }

  async toEnd(): Promise<DurableEnd> {
    const { greeted, launch } = this.#opened
    const unregister = this.#options.onRaise?.(this.#clock.raiseTo)
    // Its stdin stays open: that is how the follower knows that somebody listens.
    greeted.channel.write(writeProgram(launch.program))
    const over = Promise.race([this.#finished, this.#closed()]).then(() => undefined)
    const asked = await Promise.race([over, this.#stop.requested])
    const stopped = await this.#killIfAsked(asked, over)
    this.#stop.release()
    this.#clock.stop()
    unregister?.()
    await this.#drain.stop()
    // It ends by itself now. dropbear cannot handle the next channel while a process of the last one is being killed.
    if (this.#heard.report !== undefined) await withinMs(DRAIN_MS, greeted.exited)
    if (this.#fault !== undefined) throw this.#fault.error
    return settle(this.#run, {
      heard: this.#heard,
      asked,
      stopped,
      isFresh: this.#opened.isFresh,
      deadEnd: this.#isDrained ? greeted.exit() : undefined,
      isConnectionOpen: this.#connection.isOpen(),
      hostName: this.#connection.hostName,
    })
  }

  #startClock(): DurableClock {
    const { execTimeoutMs, killGraceMs } = this.#options.limits
    return startClock({
      execTimeoutMs,
      lateMs: killGraceMs + CLOCK_GRACE_MS,
      muteMs: this.#opened.timeoutMs,
      onTimeout: () => this.#stop.request('exec_timeout'),
      onMute: () => this.#stop.request('mute'),
      raise: (raisedMs) => raiseDurable(this.#connection, this.#run, raisedMs),
    })
  }

  #readOutput(): Drain {
    const { greeted, nonce } = this.#opened
    const { hardStopBytes = HARD_STOP_BYTES } = this.#options.limits
    return drainOutput(greeted.channel, {
      caps: this.#run.caps,
      onOutput: this.#run.onOutput,
      onBytes: (streamBytes) => {
        if (streamBytes > hardStopBytes) this.#stop.request('output_limit')
      },
      onFault: (error) => {
        this.#fault ??= { error }
        this.#stop.request('fault')
      },
      split: splitDurable(nonce, (line) => this.#onLine(line)),
      heard: greeted.heard,
    })
  }

  #onLine(line: string): void {
    const word = parseWord(line)
    // The first last word counts: nothing of ours follows it.
    if (word === undefined || this.#isFinished()) return
    if (word.word === 'refused') this.#heard.refusal = word.why
    if (word.word === 'end') this.#heard.report = word.report
    this.#onWord(word)
    if (this.#isFinished()) this.#onFinished()
  }

  #isFinished(): boolean {
    return this.#heard.report !== undefined || this.#heard.refusal !== undefined
  }

  #onWord(word: DurableWord): void {
    this.#clock.heard()
    if (word.word === 'input' && this.#input !== undefined && !this.#stop.isRequested()) {
      this.#run.noteSent(word.parent)
      void this.#write(this.#input)
      this.#input = undefined
    }
    if (word.word === 'output') {
      this.#run.noteStarted()
      this.#clock.start(word.ageMs)
      this.#options.onStarted?.()
    }
  }

  async #write(input: readonly Buffer[]): Promise<void> {
    const { channel } = this.#opened.greeted
    for (const bytes of input) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        await new Promise<void>((resolve) => {
          channel.write(bytes.subarray(at, at + PIECE_BYTES), () => resolve())
        })
        this.#clock.heard()
      }
    }
  }

  /** Resolves when the channel's process has exited, and what it wrote was read or no longer comes. */
  async #closed(): Promise<void> {
    const ended = this.#drain.ended.then(() => {
      this.#isDrained = true
    })
    await this.#opened.greeted.exited
    // The receiver may be slow: what it has not taken yet is still to come.
    do await withinMs(DRAIN_MS, Promise.race([this.#finished, ended]))
    while (this.#drain.isPaused() && !this.#isDrained && this.#heard.report === undefined)
  }

  /** Kills the command where this was asked. A command that was never sent needs no kill. */
  async #killIfAsked(asked: FollowStop | undefined, over: Promise<undefined>): Promise<StoppedRun | undefined> {
    const mayRun = this.#run.wasSent || this.#run.hasStarted || !this.#opened.isFresh
    if (!isKill(asked) || !mayRun) return undefined
    const { killGraceMs } = this.#options.limits
    const stopped = { cause: asked, kill: await stopDurable(this.#connection, this.#run, asked, killGraceMs) }
    await this.#awaitResult(stopped, over)
    return stopped
  }

  /** A command that was already gone has a result, which comes behind all the output. */
  async #awaitResult({ kill }: StoppedRun, over: Promise<undefined>): Promise<void> {
    let isTold = false
    const told = over.then(() => {
      isTold = true
    })
    const drain = this.#drain
    for (let bytes = -1; !isTold && (bytes < drain.bytes() || drain.isPaused()); ) {
      bytes = drain.bytes()
      await withinMs(RESULT_MS, told)
      if (kill !== 'was_gone') break
    }
  }
}
