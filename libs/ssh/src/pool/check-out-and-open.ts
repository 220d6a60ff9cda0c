/**
 * Checks out a connection and opens something on it. This shows whether a warm connection still works, and whether the
 * host gives another channel. Neither has started anything, so on failure another connection is tried.
 */

import { CHANNEL_TIMEOUT_MS } from '../channel/channel.ts'
import { type NotGreeted, openLauncherChannel } from '../channel/launcher-channel.ts'
import { type Refused, refused, type SshHost } from '../connect/connection.ts'
import { withinMs } from '../verdict/within-ms.ts'
import type { CheckOutOptions } from './login-group.ts'
import type { Pool } from './pool.ts'
import type { Checkout } from './pooled-connection.ts'
import { unlessDead, type Watched } from './sign-of-life.ts'

/** Opens something. Has sent nothing of a command when it fails or the signal aborts. */
type OpenOn<T> = (checkout: Checkout, signal: AbortSignal) => Promise<T | NotGreeted>

/** How long a warm host may take to give a sign of life; a third of the whole time if that is less. */
const SIGN_OF_LIFE_MS = 4_000

/** Checks out a connection and opens something on it, within the time and by the signal of the options. */
export async function checkOutAndOpen<T extends object>(
  pool: Pool,
  host: SshHost,
  options: CheckOutOptions,
  open: OpenOn<T>,
): Promise<{ readonly ok: true; readonly checkout: Checkout; readonly opened: T } | Refused> {
  const { signal } = options
  const signOfLifeMs = Math.min(SIGN_OF_LIFE_MS, options.timeoutMs / 3)
  const deadlineMs = performance.now() + options.timeoutMs
  let openedAfterMs = 0
  let wasRenewed = false
  for (;;) {
    const timeoutMs = Math.max(1, deadlineMs - performance.now())
    const checkedOut = await pool.checkOut(host, { ...options, timeoutMs, openedAfterMs })
    if (!checkedOut.ok) return checkedOut
    const { checkout } = checkedOut
    const { connection, isWarm } = checkout
    const step = async (until: AbortSignal): Promise<Watched<T | NotGreeted>> =>
      isWarm && !wasRenewed
        ? await unlessDead(connection, { withinMs: signOfLifeMs, signal: until }, (limit) => open(checkout, limit))
        : { result: await open(checkout, until), isDead: false }
    const { result, isDead } = await step(signal).catch((error: unknown) => {
      connection.close()
      throw error
    })
    if (!('failure' in result)) return { ok: true, checkout, opened: result }

    const isLost = isDead || !connection.isOpen()
    const isRefused = !isLost && result.failure.reason === 'channel_refused' && result.hasShell !== true
    if (isRefused && checkout.releaseRefused()) continue
    connection.close()
    if (signal.aborted || wasRenewed || !isWarm || !(isLost || isRefused)) {
      return refused({ ...result.failure, reached: connection.reached })
    }
    // Connections older than this checkout may be dead too; those opened since are not.
    openedAfterMs = checkout.sinceMs
    wasRenewed = true
  }
}

/** Opens a channel, hears the hello and closes it; only on a warm connection, as a new one has just been heard. */
export async function tryChannel(
  checkout: Checkout,
  signal: AbortSignal,
): Promise<{ readonly isOpen: true } | NotGreeted> {
  if (!checkout.isWarm) return { isOpen: true }
  const opened = await openLauncherChannel(checkout.connection, { timeoutMs: CHANNEL_TIMEOUT_MS, signal })
  if ('failure' in opened) return opened
  opened.channel.resume()
  opened.channel.stderr.resume()
  opened.channel.end()
  await withinMs(CHANNEL_TIMEOUT_MS, opened.exited)
  opened.channel.close()
  return { isOpen: true }
}
