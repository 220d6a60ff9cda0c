/** Runs around every test file and fails it when something of it is left: see leftovers.ts. */
import { beforeAll } from 'vitest'
import { sharedRedisUrl } from '../runtime/shared-redis.ts'
import { watchLeftovers } from './leftovers.ts'

const watch = watchLeftovers(sharedRedisUrl())

// What a beforeAll hook returns runs last of all, and that of the first hook after that of all others.
beforeAll(() => async () => {
  const found = await watch.leftovers()
  await watch.close()
  if (found.length > 0) throw new Error(`this file leaves behind:\n  ${found.join('\n  ')}`)
})
