/** The time by Redis' own clock, the only clock that all processes share. */
import { z } from 'zod'
import { ask, type Ledger } from './open-ledger.ts'
import { runScript } from './scripts.ts'

/** How long a lease lasts after its last renewal. A dead worker is noticed this much later, plus two sweeps. */
export const LEASE_MS = 12_000

/**
 * Milliseconds since 1970 by Redis' clock.
 * @throws {MusterError} ledger_unavailable
 */
export async function ledgerNowMs(ledger: Pick<Ledger, 'redis' | 'keys'>): Promise<number> {
  return z.number().parse(await ask(ledger.redis, () => runScript(ledger, 'now', { any: ledger.keys.active })))
}
