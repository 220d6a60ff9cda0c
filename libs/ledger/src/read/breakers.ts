/**
 * Reads the circuit breakers: the hosts that are not tried for a while, because reaching them failed several times in a
 * row. The scripts open, probe and close them (breaker.lua).
 */
import { ledgerNowMs } from '../redis/ledger-time.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'

/** An open circuit breaker. */
export type OpenBreaker = {
  /** What failed: reaching the host, or logging in to it. */
  readonly kind: 'connect' | 'auth'
  /** When a run may try again, in milliseconds since 1970. */
  readonly untilMs: number
}

/** No breaker is open for longer (breaker.lua). One that would be was opened before Redis' clock was set back. */
export const LONGEST_OPEN_MS = 15 * 60_000

/**
 * Returns the open breakers by host.
 * @throws {MusterError} ledger_unavailable
 */
export async function openBreakers(ledger: Ledger): Promise<Map<string, OpenBreaker>> {
  const { redis, keys } = ledger
  const now = await ledgerNowMs(ledger)
  const rows = await ask(redis, () => redis.zrangebyscore(keys.breakers, now, now + LONGEST_OPEN_MS, 'WITHSCORES'))
  const open = new Map<string, OpenBreaker>()
  for (let i = 0; i + 1 < rows.length; i += 2) {
    const [kind, ...host] = (rows[i] ?? '').split(':')
    open.set(host.join(':'), { kind: kind === 'auth' ? 'auth' : 'connect', untilMs: Number(rows[i + 1]) })
  }
  return open
}
