/** A Redis of a test's own, which may be killed, frozen and started again on the same port. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type ChaosRedis, startChaosRedis } from './chaos-redis.ts'
import { sharedRedisUrl } from './shared-redis.ts'

/**
 * Starts it, with its log written before every answer; everything is gone when the test ends. `env` is for it alone.
 */
export async function ownRedis(env: Record<string, string> = {}): Promise<ChaosRedis & { readonly url: string }> {
  // The shared one has seen to it that there is a redis-server.
  sharedRedisUrl()
  const dir = await mkdtemp(join(tmpdir(), 'muster-own-redis-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const redis = await startChaosRedis({ dir, path: process.env.PATH, env, durability: 'always', say: () => {} })
  onTestFinished(() => redis.process.close())
  return { ...redis, url: `redis://127.0.0.1:${redis.port}` }
}
