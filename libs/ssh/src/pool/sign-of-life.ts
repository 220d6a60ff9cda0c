/**
 * Finds out whether a connection that was idle for a while still works: a host that was rebooted, or a firewall that
 * has forgotten the connection, says nothing at all, and TCP takes minutes to notice. Closes nothing.
 */
import type { SshConnection } from '../connect/connection.ts'

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

/**
 * Whether the host answers within this time. ssh2 has no call for it, so its own keepalive is sent; should those fields
 * be renamed, every connection is believed to be alive (test/integration/ssh-pool-stale.test.ts).
 */
function answers({ client }: SshConnection, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const protocol: unknown = Reflect.get(client, '_protocol')
    const answered: unknown = Reflect.get(client, '_callbacks')
    if (!canPing(protocol) || !Array.isArray(answered)) return resolve(true)
    // A connection that ends makes the step fail, and then nobody looks at this answer.
    const timer = setTimeout(resolve, withinMs, false)
    answered.push(() => {
      clearTimeout(timer)
      resolve(true)
    })
    try {
      protocol.ping()
    } catch {
      // The connection is gone already: the timer says so.
    }
  })
}

function canPing(protocol: unknown): protocol is { ping(): void } {
  return typeof protocol === 'object' && protocol !== null && 'ping' in protocol && typeof protocol.ping === 'function'
}
