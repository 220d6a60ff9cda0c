/**
 * A connection from a jump host to the host behind it, or why there is none. A jump host that does not forward and one
 * that could not get there are told apart, because different people fix them.
 */
import type { Duplex } from 'node:stream'
import type { Client } from 'ssh2'
import { printable } from '../verdict/failure.ts'

/** Why a jump host did not connect to a host. */
export type NoForward = {
  readonly failure: string
  readonly isRetryable: boolean
  /** Whether the jump host asked the host itself, or waited for it in vain. */
  readonly isHostsFault: boolean
}

/** Why a jump host opens no channel, in its own codes. @see RFC 4254, section 5.1 */
const PROHIBITED = 1
const CONNECT_FAILED = 2
const UNKNOWN_TYPE = 3

/** A forward through this client, or why there is none. */
export function openForward(
  client: Client,
  { address, port }: { readonly address: string; readonly port: number },
  signal: AbortSignal,
): Promise<{ readonly stream: Duplex } | NoForward> {
  return new Promise((resolve) => {
    const giveUp = () => resolve({ failure: 'no answer in time', isRetryable: true, isHostsFault: true })
    if (signal.aborted) return giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      client.forwardOut('127.0.0.1', 0, address, port, (error, stream) => {
        signal.removeEventListener('abort', giveUp)
        // Nobody waits for it any more, and the connection to the jump host may stay open.
        if (signal.aborted) stream?.destroy()
        else resolve(error ? explain(error, `${address}:${port}`) : { stream })
      })
    } catch (error) {
      // ssh2 throws when the connection is gone already.
      signal.removeEventListener('abort', giveUp)
      const why = error instanceof Error ? error.message : String(error)
      resolve({ failure: why, isRetryable: true, isHostsFault: false })
    }
  })
}

function explain(error: Error, target: string): NoForward {
  const said = printable(error.message)
  switch ('reason' in error ? error.reason : undefined) {
    case PROHIBITED: {
      const settings = 'AllowTcpForwarding, PermitOpen and DisableForwarding in its sshd_config'
      const keys = 'restrict, no-port-forwarding and permitopen at our key in its authorized_keys'
      const failure = `it does not forward to ${target} (administratively prohibited): see ${settings}, and ${keys}`
      return { failure, isRetryable: false, isHostsFault: false }
    }
    case UNKNOWN_TYPE:
      return { failure: `it does not forward at all: ${said}`, isRetryable: false, isHostsFault: false }
    case CONNECT_FAILED:
      return { failure: `it could not get there: ${said}`, isRetryable: true, isHostsFault: true }
    default:
      return { failure: said, isRetryable: true, isHostsFault: false }
  }
}
