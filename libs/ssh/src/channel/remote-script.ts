/**
 * Runs a small script of our own on a host, in a channel of its own beside the command's, with a deadline for every
 * step. kill.ts, remote-deadline.ts and orders.ts write the scripts.
 */
import type { SshConnection } from '../connect/connection.ts'
import { writeProgram } from '../shell/launcher.ts'
import type { Sudo } from '../shell/sudo.ts'
import type { Exit } from '../verdict/exit-status.ts'
import type { Failure } from '../verdict/failure.ts'
import { withinMs } from '../verdict/within-ms.ts'
import { openLauncherChannel } from './launcher-channel.ts'

/** How to run a script, and how long it may take. */
export type ScriptOptions = {
  /** Absent: it runs as the account. */
  readonly sudo?: Sudo | undefined
  /** For opening a channel. */
  readonly channelTimeoutMs: number
  /** From sending the script to its exit. */
  readonly answerMs: number
  /** Asked right before the script is sent. Absent: it is always sent. */
  readonly isWanted?: () => boolean
}

/** How a script ended. `exit` is undefined when the host reported none in time: then nobody knows. */
export type ScriptEnd = { readonly exit: Exit | undefined; readonly output: string }

/** More than any of our scripts prints. */
const OUTPUT_CHARS = 4_096

/** Runs a script. Nothing was sent if it returns a failure, or undefined: the script was no longer wanted. */
export async function runScript(
  connection: SshConnection,
  text: string,
  { sudo, channelTimeoutMs, answerMs, isWanted = () => true }: ScriptOptions,
): Promise<ScriptEnd | { readonly failure: Failure } | undefined> {
  const opened = await openLauncherChannel(connection, { sudo, timeoutMs: channelTimeoutMs })
  if ('failure' in opened) return opened
  const { channel } = opened
  try {
    if (!isWanted()) return undefined
    let output = ''
    channel.on('data', (bytes: Buffer) => {
      output = `${output}${bytes}`.slice(0, OUTPUT_CHARS)
    })
    channel.stderr.resume()
    channel.resume()
    channel.end(writeProgram(text))
    await withinMs(answerMs, opened.exited)
    return { exit: opened.exit(), output }
  } finally {
    channel.close()
  }
}
