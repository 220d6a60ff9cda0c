/**
 * A channel in which a launcher can be written: right away, or past sudo, where the way is gone to its end first.
 * Until the caller writes the launcher nothing of the command is on the host; so whatever goes wrong here, sudo that
 * hangs included, the command has certainly not started.
 */
import { randomBytes } from 'node:crypto'
import { type OpenedChannel, openChannel, type RunningChannel } from './channel.ts'
import type { SshConnection } from './connection.ts'
import { causeOfAbort, type Failure, failure } from './failure.ts'
import { launchLine } from './launcher.ts'
import { checkSudo, type Sudo, sudoLine } from './sudo.ts'
import { SudoDialogue } from './sudo-dialogue.ts'

/** How to open it. */
export type LauncherChannelOptions = {
  /** Absent: the launcher runs as the account. */
  readonly sudo?: Sudo | undefined
  /** For opening the channel, and again for the way through sudo. */
  readonly timeoutMs: number
  /** An abort is a failure with `cancelled_by_user`. */
  readonly signal?: AbortSignal
}

/** How long sudo may take to end after it was told that nothing more comes; a wrong password costs it two seconds. */
const LAST_WORDS_MS = 4_000

/**
 * Opens a channel that waits for this launcher on its stdin. What it gives is to be closed by the caller.
 * @throws {MusterError} invalid_request: the user or the password cannot be given to sudo; nothing was sent.
 */
export async function openLauncherChannel(
  connection: SshConnection,
  launcher: Buffer,
  { sudo, timeoutMs, signal }: LauncherChannelOptions,
): Promise<OpenedChannel> {
  const limits = { timeoutMs, ...(signal && { signal }) }
  if (sudo === undefined) return await openChannel(connection, launchLine(launcher), limits)
  checkSudo(sudo)
  const nonce = randomBytes(16).toString('hex')
  const opened = await openChannel(connection, sudoLine(sudo, launcher.length, nonce), limits)
  if ('failure' in opened) return opened
  const failure = await passSudo(connection, opened, new SudoDialogue(sudo, nonce), { sudo, ...limits })
  if (failure === undefined) return opened
  opened.channel.close()
  return { failure: { ...failure, detail: `${connection.hostName}: ${failure.detail}` } }
}

/** Resolves when the launcher can be written, or with the reason why it cannot. Both streams are paused then. */
function passSudo(
  connection: SshConnection,
  { channel, exit, exited }: RunningChannel,
  dialogue: SudoDialogue,
  { sudo, timeoutMs, signal }: LauncherChannelOptions & { readonly sudo: Sudo },
): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    const settle = (failure: Failure | undefined) => {
      clearTimeout(timer)
      clearTimeout(lastWords)
      signal?.removeEventListener('abort', onAbort)
      channel.off('data', onStdout).off('close', onEnd).pause()
      channel.stderr.off('data', onStderr).pause()
      resolve(failure)
    }
    const take = (stream: 'stdout' | 'stderr', bytes: Buffer) => {
      switch (dialogue.take(stream, bytes)) {
        case 'answer':
          channel.write(`${sudo.password}\n`)
          break
        case 'give_up':
          channel.end()
          expectEnd()
          break
        case 'passed':
          settle(undefined)
          break
        default:
      }
    }
    const onStdout = (bytes: Buffer) => take('stdout', bytes)
    const onStderr = (bytes: Buffer) => take('stderr', bytes)
    const onAbort = () => {
      channel.end()
      settle(
        failure(
          signal === undefined ? 'cancelled_by_user' : causeOfAbort(signal),
          'stopped before the command was sent',
        ),
      )
    }
    const onEnd = () => {
      const ended = exit()
      if (ended !== undefined) return settle(dialogue.refusal(`exit status ${ended.code ?? ended.signal}`))
      const what = connection.isOpen() ? 'the host closed the channel' : 'the connection was lost'
      settle(failure('conn_lost', `${what} before the command was sent`))
    }
    const expectEnd = () => {
      lastWords ??= setTimeout(() => settle(dialogue.refusal('it was told to end')), LAST_WORDS_MS)
    }
    let lastWords: NodeJS.Timeout | undefined
    const timer = setTimeout(() => {
      channel.end()
      settle(dialogue.refusal(`nothing came of it within ${timeoutMs / 1_000} s`))
    }, timeoutMs)
    channel.on('data', onStdout).on('close', onEnd)
    channel.stderr.on('data', onStderr)
    // A process that sudo left behind may hold the streams, so the channel need not close.
    void exited.then(expectEnd)
    signal?.addEventListener('abort', onAbort)
    if (signal?.aborted === true) onAbort()
  })
}
