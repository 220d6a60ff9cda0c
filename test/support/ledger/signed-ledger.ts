/** A ledger whose worker signs the ends of its runs, and whose server checks them, by keys made for the test. */
import { generateKeyPairSync, randomUUID, sign, verify } from 'node:crypto'
import { type Ledger, openLedger, type UnverifiedEnd } from '@muster/ledger'
import { onTestFinished } from 'vitest'
import { sharedRedisUrl } from '../runtime/shared-redis.ts'

/** The two sides of one ledger. `unverified` is what the server was told of ends that no worker vouches for. */
export type SignedLedger = {
  readonly worker: Ledger
  readonly server: Ledger
  readonly unverified: readonly UnverifiedEnd[]
}

/** Opens both sides, under a prefix that no other test has. */
export async function openSignedLedger(): Promise<SignedLedger> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const unverified: UnverifiedEnd[] = []
  const given = { redisUrl: sharedRedisUrl(), prefix: `test-${randomUUID()}` }
  const worker = await openLedger({
    ...given,
    role: 'worker',
    ends: { sign: async (text) => sign('sha256', Buffer.from(text), privateKey).toString('base64url') },
  })
  onTestFinished(() => worker.close())
  const server = await openLedger({
    ...given,
    role: 'server',
    ends: {
      freshCheck: async () => (text, signature) =>
        verify('sha256', Buffer.from(text), publicKey, Buffer.from(signature, 'base64url')),
      onUnverified: (run) => unverified.push(run),
    },
  })
  onTestFinished(() => server.close())
  return { worker, server, unverified }
}
