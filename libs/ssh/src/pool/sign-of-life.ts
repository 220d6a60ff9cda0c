/**
 * Finds out whether a connection that was idle for a while still works: a host that was rebooted, or a firewall that
 * has forgotten the connection, says nothing at all, and TCP takes minutes to notice. Closes nothing.
 */
import { askHost } from '../connect/ask.ts'
import type { SshConnection } from '../connect/connection.ts'
import { withinMs } from '../verdict/within-ms.ts'

/** How long a step may take before the host is asked for a sign of life, so that quick steps cost no question. */
const ASK_AFTER_MS = 500

/** The result of a step. `isDead`: the host gave no sign of life meanwhile. */
export type Watched<T> = { readonly result: T; readonly isDead: boolean }

/**
 * Takes a step that waits for the host. The step's signal aborts with the given one, and also when the host, asked for
 * a sign of life, does not answer in time.
 */
export async function unlessDead<T>(
  connection: SshConnection,
  { withinMs, signal }: { readonly withinMs: number; readonly signal: AbortSignal },
  step: (signal: AbortSignal) => Promise<T>,
): Promise<Watched<T>> {
  const giveUp = new AbortController()
  let isDead = false
  let isOver = false
  const onAbort = () => giveUp.abort(signal.reason)
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  const askAfterMs = Math.min(ASK_AFTER_MS, withinMs / 2)
  const timer = setTimeout(async () => {
    const isAlive = await answers(connection, withinMs - askAfterMs)
    if (isAlive || isOver) return
    isDead = true
    giveUp.abort()
  }, askAfterMs)
  try {
    const result = await step(giveUp.signal)
    return { result, isDead }
  } finally {
    isOver = true
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

/** Whether the host answers within this time. A connection that ends makes the step fail, and nobody looks at this. */
async function answers({ client }: SshConnection, timeoutMs: number): Promise<boolean> {
  let isAnswered = false
  const answered = askHost(client).then(() => {
    isAnswered = true
  })
  await withinMs(timeoutMs, answered)
  return isAnswered
}
