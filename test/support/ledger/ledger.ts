/** A ledger of its own for a test: its own prefix on the shared test Redis, closed when the test ends. */
import { randomUUID } from 'node:crypto'
import { Submit } from '@muster/contract'
import { type Ledger, type NewJob, openLedger, submitJob } from '@muster/ledger'
import { onTestFinished } from 'vitest'
import { sharedRedisUrl } from '../runtime/shared-redis.ts'

/** Opens a ledger that shares nothing with any other test. */
export async function openTestLedger(role: 'server' | 'worker' = 'worker'): Promise<Ledger> {
  const ledger = await openLedger({ redisUrl: sharedRedisUrl(), prefix: `test-${randomUUID()}`, role })
  onTestFinished(() => ledger.close())
  return ledger
}

/** Submits a job for hosts `h0`, `h1`, …, or with another prefix, and answers its ID. */
export async function submitTo(
  ledger: Ledger,
  hostCount: number,
  request: Record<string, unknown> = {},
  prefix = 'h',
  key: Pick<NewJob, 'keyId' | 'keyLimits'> = {},
) {
  const hosts = Array.from({ length: hostCount }, (_, i) => `${prefix}${i}`)
  const job = { request: Submit.parse({ command: 'true', targets: '@*', ...request }), hosts, owner: 'tester', ...key }
  return (await submitJob(ledger, job)).jobId
}
