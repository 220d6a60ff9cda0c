/** Asks a host for nothing but an answer. Decides nothing by it. */
import type { Client } from 'ssh2'

/**
 * Resolves when the host has answered, which it does behind all that it has sent before, or the connection has ended.
 * ssh2 has no call for it, so its own keepalive is sent; should those fields be renamed, every host seems to answer at
 * once (test/integration/ssh/pool/ssh-pool-stale.test.ts).
 */
export function askHost(client: Client): Promise<void> {
  return new Promise((resolve) => {
    const protocol: unknown = Reflect.get(client, '_protocol')
    const answered: unknown = Reflect.get(client, '_callbacks')
    if (!canPing(protocol) || !Array.isArray(answered)) return resolve()
    answered.push(() => resolve())
    try {
      protocol.ping()
    } catch {
      // The connection is gone already, so no answer comes, and whoever waits for more has a limit.
    }
  })
}

function canPing(protocol: unknown): protocol is { ping(): void } {
  return typeof protocol === 'object' && protocol !== null && 'ping' in protocol && typeof protocol.ping === 'function'
}
