/**
 * A command that only waits to be sent: its channel is open, its shell has said hello, and nothing of the command is on
 * the host yet. So every failure up to here is "not started". Sends nothing (exec.ts).
 */
import { randomBytes } from 'node:crypto'
import { CHANNEL_TIMEOUT_MS } from '../channel/channel.ts'
import { type GreetedChannel, type NotGreeted, openLauncherChannel } from '../channel/launcher-channel.ts'
import type { SshConnection } from '../connect/connection.ts'
import { type Launch, writeLaunch } from '../shell/launcher.ts'
import { checkCommand, type RemoteCommand } from '../shell/remote-command.ts'
import { hostDeadlineMs } from '../shell/watchdog.ts'
import { type Exit, isSignalled } from '../verdict/exit-status.ts'
import { failure } from '../verdict/failure.ts'

/** What a command needs before it can be sent. */
export type ReadyOptions = {
  /** From sending the command to its exit; then it is killed. Should nobody be there to do it, the host does, later. */
  readonly execTimeoutMs: number
  /** Between TERM and KILL of its process group. */
  readonly killGraceMs: number
  /** For opening a channel, and again for sudo to let us through; 15 s by default. */
  readonly channelTimeoutMs?: number
  /** Stops the command: it is killed. The end says `job_timeout` where the abort has that reason, else a cancel. */
  readonly signal: AbortSignal
}

/** A command that can be sent. */
export type ReadyCommand = {
  readonly connection: SshConnection
  readonly running: GreetedChannel
  readonly launch: Launch & Pick<RemoteCommand, 'sudo'>
  readonly nonce: string
}

/**
 * Goes all the way to where a command can be sent. The caller hands the result to `sendCommand` or closes its channel;
 * after a failure nothing was sent.
 * @throws {MusterError} invalid_request: the command cannot be expressed; nothing was sent.
 */
export async function readyCommand(
  connection: SshConnection,
  command: RemoteCommand,
  options: ReadyOptions,
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

/** How long a channel may take to open, in milliseconds. */
export function channelTimeoutOf({
  channelTimeoutMs = CHANNEL_TIMEOUT_MS,
}: Pick<ReadyOptions, 'channelTimeoutMs'>): number {
  return channelTimeoutMs
}

/**
 * The exit of a command that bash runs as its job. A signal has ended that bash and not the command, which may run on:
 * then nothing is known.
 */
function exitOfJob(exit: Exit | undefined): Exit | undefined {
  return exit === undefined || isSignalled(exit) ? undefined : exit
}
