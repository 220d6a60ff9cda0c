/** The Redis that the test files of one process of the runner share. Tests keep apart by the names of their keys. */
import { inject } from 'vitest'

/**
 * Its address, with the password. Each process of the runner has its own, so that a test with very many hosts keeps
 * only its own process waiting.
 */
export function sharedRedisUrl(): string {
  const urls = inject('redisUrls')
  const url = urls[Number(process.env.VITEST_POOL_ID ?? 0) % urls.length]
  if (url === undefined) throw new Error('the set-up of the test run has started no Redis')
  return url
}
