/**
 * Durable mode: a command that is started detached on its host, and followed over as many connections as it takes.
 *
 *   channel → launcher → files of the command → claimed (once) → output by offset → result → end
 *                └ connection lost: again, on another one ┘   └ cancel: stopped from beside, and looked for ┘
 *
 * Every call is one connection. "Not started" is only said when it is proven; where it is not proven yet, it is made
 * certain by fencing off a launcher that may still be under way. Does not connect, and does not decide about retries.
 */
import { randomBytes } from 'node:crypto'
import { CHANNEL_TIMEOUT_MS } from '../channel/channel.ts'
import { openLauncherChannel } from '../channel/launcher-channel.ts'
import type { SshConnection } from '../connect/connection.ts'
import { findHello } from '../shell/hello.ts'
import { checkCommand } from '../shell/remote-command.ts'
import { cannotHold, type DurableEnd, disconnected } from './end.ts'
import { Following, type FollowOptions } from './following.ts'
import { writeDurable } from './launch.ts'
import type { DurableRun } from './run.ts'

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
  // The first is on a command line, where everybody can read it; the command must not know the second.
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
    if (greeted.hello.isRestricted) {
      return cannotHold(connection.hostName, isFresh, 'the shell of the account is restricted')
    }
    const from = { stdout: run.caps.stdout.bytes, stderr: run.caps.stderr.bytes }
    // The account may have only one of the streams: on this one its shell was heard.
    const writesTo = findHello(greeting, greeted.heard.stdout) === undefined ? 'stderr' : 'stdout'
    const launch = writeDurable(run, { nonce, from, limits, command, writesTo })
    return await new Following(connection, run, options, { greeted, launch, nonce, isFresh, timeoutMs }).toEnd()
  } finally {
    greeted.channel.close()
  }
}
