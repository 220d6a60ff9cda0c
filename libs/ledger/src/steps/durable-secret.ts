/**
 * The secret that the seals of durable runs are made of: one for all workers of a ledger, as any of them may have to
 * tell whether a result was written by what watches over the run on its host. Never leaves Redis and the workers.
 */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'

const Secret = z.string().regex(/^[0-9a-f]{64}$/)

/** The secret; made by the first who asks, and kept for good. */
export async function durableSecret(ledger: Ledger): Promise<string> {
  const key = ledger.keys.durableSecret
  const found = await ledger.redis.get(key)
  if (found !== null) return Secret.parse(found)
  const secret = randomBytes(32).toString('hex')
  return Secret.parse(await runScript(ledger, 'keep-secret', { key, secret }))
}
