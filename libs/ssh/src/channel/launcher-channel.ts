/**
 * A channel whose shell has said hello (hello.ts) and waits for a command: the account's shell, or behind sudo a shell
 * of the other user. Until the caller writes to it nothing of the command is on the host. So whatever goes wrong here,
 * a start-up file or sudo that hangs included, the command has certainly not started.
 */
import { randomBytes } from 'node:crypto'
import type { OutputStream } from '@muster/contract'
import type { SshConnection } from '../connect/connection.ts'
import { findHello, firstLine, HELLO_LIMIT_BYTES, type Hello } from '../shell/hello.ts'
import { explainNoHello } from '../shell/no-hello.ts'
import { checkSudo, type Sudo, sudoLine } from '../shell/sudo.ts'
import { SudoDialogue, type SudoStep } from '../shell/sudo-dialogue.ts'
import { causeOfAbort, type Failure, failure } from '../verdict/failure.ts'
import { openChannel, type RunningChannel } from './channel.ts'

/** How to open it. */
export type LauncherChannelOptions = {
  /** Absent: the command runs as the account. */
  readonly sudo?: Sudo | undefined
  /** For opening the channel, and again for the hello. */
  readonly timeoutMs: number
  /** An abort is a failure with `cancelled_by_user`. */
  readonly signal?: AbortSignal
  /** Identifies the hello; random by default. */
  readonly nonce?: string
}

/** A channel whose shell waits, and what the shell said about itself. Both streams are paused. */
export type GreetedChannel = RunningChannel & {
  readonly hello: Hello
  /** All that came on each stream, up to the hello and perhaps beyond. */
  readonly heard: Readonly<Record<OutputStream, Buffer>>
}

/** Why there is none. `hasShell`: the host gave a channel, so another channel would be no better. */
export type NotGreeted = { readonly failure: Failure; readonly hasShell?: true }

/** How long a shell may take to end after its input has ended; a wrong password costs two seconds. */
const LAST_WORDS_MS = 4_000
/** The most that start-up files may print. */
const HEARD_LIMIT_BYTES = 1024 * 1024

/**
 * Opens a channel and waits for the hello. The caller closes the channel it returns.
 * @throws {MusterError} invalid_request: the user or the password cannot be given to sudo; nothing was sent.
 */
export async function openLauncherChannel(
  connection: SshConnection,
  { sudo, timeoutMs, signal, nonce = randomBytes(16).toString('hex') }: LauncherChannelOptions,
): Promise<GreetedChannel | NotGreeted> {
  if (sudo !== undefined) checkSudo(sudo)
  const line = sudo === undefined ? firstLine(nonce) : sudoLine(sudo, nonce)
  const opened = await openChannel(connection, line, { timeoutMs, ...(signal && { signal }) })
  if ('failure' in opened) return opened
  const dialogue = sudo && new SudoDialogue(sudo, nonce)
  const waiting = new HelloWait(connection, opened, { nonce, dialogue, timeoutMs, signal })
  const greeted = await waiting.end
  if (!('failure' in greeted)) return greeted
  opened.channel.close()
  return { ...greeted, failure: { ...greeted.failure, detail: `${connection.hostName}: ${greeted.failure.detail}` } }
}

type WaitOptions = {
  readonly nonce: string
  /** Absent without sudo. */
  readonly dialogue: SudoDialogue | undefined
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** Reads both streams until the hello comes on one of them, or no hello can come any more. */
class HelloWait {
  readonly end: Promise<GreetedChannel | NotGreeted>
  readonly #connection: SshConnection
  readonly #running: RunningChannel
  readonly #options: WaitOptions
  readonly #heard: Record<OutputStream, Buffer[]> = { stdout: [], stderr: [] }
  readonly #tail: Record<OutputStream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  #heardBytes = 0
  /** Why the input was ended: the shell is on its way out, and its last words may explain more. */
  #whyEnded: string | undefined
  #timer: NodeJS.Timeout
  /** From then on the channel is the caller's: nothing here may touch it, when the command exits for example. */
  #isSettled = false
  #resolve: (end: GreetedChannel | NotGreeted) => void = () => {}

  constructor(connection: SshConnection, running: RunningChannel, options: WaitOptions) {
    this.#connection = connection
    this.#running = running
    this.#options = options
    this.end = new Promise((resolve) => {
      this.#resolve = resolve
    })
    const { channel, exited } = running
    const { timeoutMs, signal } = options
    this.#timer = setTimeout(() => this.#endInput(`nothing came of it within ${timeoutMs / 1_000} s`), timeoutMs)
    channel.on('data', this.#onStdout).on('close', this.#onClose)
    channel.stderr.on('data', this.#onStderr)
    // A process left behind may hold the streams, so the channel need not close.
    void exited.then(() => this.#endInput(undefined))
    signal?.addEventListener('abort', this.#onAbort)
    if (signal?.aborted === true) this.#onAbort()
  }

  readonly #onStdout = (bytes: Buffer) => this.#take('stdout', bytes)
  readonly #onStderr = (bytes: Buffer) => this.#take('stderr', bytes)

  #take(stream: OutputStream, bytes: Buffer): void {
    const { nonce, dialogue } = this.#options
    const tail = Buffer.concat([this.#tail[stream], bytes])
    this.#tail[stream] = tail.subarray(-HELLO_LIMIT_BYTES)
    this.#heard[stream].push(bytes)
    this.#heardBytes += bytes.length
    const hello = findHello(nonce, tail)
    if (hello !== undefined && this.#whyEnded === undefined) this.#greet(hello)
    else if (hello !== undefined && dialogue === undefined) this.#fail(withShell(READS_STDIN))
    else if (this.#heardBytes > HEARD_LIMIT_BYTES) this.#fail(withShell(PRINTS_ENDLESSLY))
    else this.#step(dialogue?.take(stream, bytes))
  }

  #step(step: SudoStep | undefined): void {
    if (step === 'answer') this.#running.channel.write(this.#options.dialogue?.answer() ?? '')
    if (step === 'give_up') this.#endInput('it was told to end')
  }

  /** Sends the end of the input: whatever reads it, start-up files or sudo, goes on and may say why. */
  #endInput(why: string | undefined): void {
    if (this.#isSettled) return
    clearTimeout(this.#timer)
    const exit = this.#running.exit()
    if (exit === undefined && why !== undefined) {
      this.#whyEnded ??= why
      this.#running.channel.end()
    }
    const how = exit === undefined ? (why ?? 'it closed the channel') : `exit status ${exit.code ?? exit.signal}`
    this.#timer = setTimeout(() => this.#refuse(how), LAST_WORDS_MS)
  }

  readonly #onClose = () => {
    const exit = this.#running.exit()
    const isOpen = this.#connection.isOpen()
    if (exit !== undefined) this.#refuse(`exit status ${exit.code ?? exit.signal}`)
    else if (this.#whyEnded !== undefined && isOpen) this.#refuse(this.#whyEnded)
    else {
      const what = isOpen ? 'the host closed the channel' : 'the connection was lost'
      this.#fail(failure('conn_lost', `${what} before the command was sent`))
    }
  }

  readonly #onAbort = () => {
    const { signal } = this.#options
    this.#running.channel.end()
    const cause = signal === undefined ? 'cancelled_by_user' : causeOfAbort(signal)
    this.#fail(failure(cause, 'stopped before the command was sent'))
  }

  #refuse(how: string): void {
    const said = Buffer.concat([...this.#heard.stderr, ...this.#heard.stdout]).toString('utf8')
    const { dialogue } = this.#options
    // A shell that took too long may be quicker another time; one that has ended will end again.
    const isRetryable = this.#whyEnded !== undefined
    this.#fail(dialogue?.refusal(how) ?? withShell(explainNoHello(said, how), isRetryable))
  }

  #fail(why: Failure): void {
    this.#settle({ failure: why, ...(why.reason === 'channel_refused' && { hasShell: true }) })
  }

  #greet(hello: Hello): void {
    const { stdout, stderr } = this.#heard
    this.#settle({
      ...this.#running,
      hello,
      heard: { stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) },
    })
  }

  #settle(end: GreetedChannel | NotGreeted): void {
    if (this.#isSettled) return
    this.#isSettled = true
    clearTimeout(this.#timer)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    const { channel } = this.#running
    channel.off('data', this.#onStdout).off('close', this.#onClose).pause()
    channel.stderr.off('data', this.#onStderr).pause()
    this.#resolve(end)
  }
}

/** The host was reached and gave a channel: it is the account that cannot run commands. */
function withShell(detail: string, isRetryable = false): Failure {
  return failure('channel_refused', detail, { isRetryable, isHostsFault: false })
}

const PRINTS_ENDLESSLY = 'the start-up files of the account print without end'
const READS_STDIN =
  'a start-up file of the account reads stdin and would swallow the command; let it read only in an ' +
  'interactive shell: case $- in *i*) ... ;; esac'
