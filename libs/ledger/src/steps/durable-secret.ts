/**
 * The secret that the seals of durable runs are made with. All workers of a ledger share it, because any of them may
 * have to tell whether a result was written by the program that watches over the run on its host. It never leaves Redis
 * and the workers.
 */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'

const Secret = z.string().regex(/^[0-9a-f]{64}$/)

/** Returns the secret. The first caller makes it, and it is kept for good. */
export async function durableSecret(ledger: Ledger): Promise<string> {
  const key = ledger.keys.durableSecret
  const found = await ledger.redis.get(key)
  if (found !== null) return Secret.parse(found)
  const secret = randomBytes(32).toString('hex')
  return Secret.parse(await runScript(ledger, 'keep-secret', { key, secret }))
}
