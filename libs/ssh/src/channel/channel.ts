/**
 * Opens a channel on a connection and asks the host to run a line there, with a deadline: a host may hang after the
 * log-in as well as before. The line holds nothing of a command: that is written to the channel's stdin later.
 */
import type { ClientChannel } from 'ssh2'
import type { SshConnection } from '../connect/connection.ts'
import { type Exit, parseExit } from '../verdict/exit-status.ts'
import { causeOfAbort, type Failure, failure, printable } from '../verdict/failure.ts'

/** How long a host may take to open a channel, and again to say hello on it. */
export const CHANNEL_TIMEOUT_MS = 15_000

/** A channel, and how its process ended as far as is known. */
export type RunningChannel = {
  readonly channel: ClientChannel
  /** Undefined while it runs, and for good when the channel closed without an exit. */
  exit(): Exit | undefined
  /** Resolves when the exit is known, or the channel closed without it. */
  readonly exited: Promise<void>
}

/** A channel whose line the host has accepted, or why there is none: then nothing was started. */
export type OpenedChannel = RunningChannel | { readonly failure: Failure }

/** Opens a channel that runs this line. After an abort, the failure's reason is the cause of the abort. */
export function openChannel(
  connection: SshConnection,
  line: string,
  { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
): Promise<OpenedChannel> {
  return new Promise((resolve) => {
    const fail = (reason: Failure['reason'], detail: string) => {
      settle()
      resolve({ failure: failure(reason, `${connection.hostName}: ${detail}`) })
    }
    const onAbort = () => signal && fail(causeOfAbort(signal), 'stopped before the command was sent')
    const settle = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      isSettled = true
    }
    let isSettled = false
    const timer = setTimeout(
      () => fail('channel_refused', `no answer within ${timeoutMs / 1_000} s to the request for a channel`),
      timeoutMs,
    )
    if (signal?.aborted === true) return onAbort()
    signal?.addEventListener('abort', onAbort)
    try {
      const { env = {} } = connection
      connection.client.exec(line, { env }, (error: Error | undefined, channel) => {
        if (error === undefined) {
          connection.channels.add(channel)
          channel.once('close', () => connection.channels.delete(channel))
        }
        if (error === undefined && isSettled) return channel.close()
        if (isSettled) return
        if (error === undefined) {
          settle()
          // Here and not later: the exit may follow in the same packet.
          return resolve(watchExit(channel))
        }
        // On a dead connection ssh2 gives the same error as for a refusal.
        if (!connection.isOpen()) return fail('conn_lost', 'the connection was lost before the command was sent')
        fail('channel_refused', `the host refused a channel: ${printable(error.message)}`)
      })
    } catch (error) {
      // ssh2 throws when the connection is gone already.
      fail('conn_lost', `the connection was lost before the command was sent: ${String(error)}`)
    }
  })
}

/**
 * Signals the process in a channel by a request of the protocol, which needs no other channel. There is no answer, and
 * a host may ignore it, as OpenSSH does for root. ssh2's `channel.signal` does nothing once stdin has ended, so this
 * goes past it.
 */
export function signalChannel({ client }: SshConnection, channel: ClientChannel, name: 'TERM' | 'KILL'): void {
  const protocol: unknown = Reflect.get(client, '_protocol')
  const outgoing: unknown = Reflect.get(channel, 'outgoing')
  if (!isRecord(protocol) || !isRecord(outgoing) || typeof protocol.signal !== 'function') return
  // A request for a channel that we have closed makes OpenSSH end the whole connection.
  if (outgoing.state !== 'open' && outgoing.state !== 'eof') return
  try {
    protocol.signal(outgoing.id, name)
  } catch {
    // The channel or the connection is gone, which says more than a signal would.
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function watchExit(channel: ClientChannel): RunningChannel {
  let exit: Exit | undefined
  const exited = new Promise<void>((resolve) => {
    channel.on('exit', (status: unknown, signal: unknown) => {
      // The first one counts: the end may already be decided from it.
      exit ??= parseExit(status, signal)
      if (exit !== undefined) resolve()
    })
    channel.on('close', resolve)
  })
  // A write to a closing channel may fail late; the end of the channel says all there is to know.
  channel.on('error', () => {})
  return { channel, exit: () => exit, exited }
}
