/**
 * Clocks that are set while jobs run: of servers and workers that began an hour wrong, and of Redis. What was stored
 * before by the other clock holds nothing up. Where the clock that signed was wrong, nothing is signed here: workers
 * refuse that (signed-work.test.ts).
 */
import { freePort } from '@muster/runtime'
import { describe, expect, test } from 'vitest'
import { ownRedis } from '../../support/runtime/own-redis.ts'
import { STORY_HOSTS, tellClockStory } from '../../support/stack/clock-story.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { clockToSet, FAKETIME, wrongBy } from '../../support/stack/skewed-clock.ts'
import { startStack, UNSIGNED } from '../../support/stack/stack.ts'

const HOUR_S = 3_600

describe.skipIf(FAKETIME === undefined)('with libfaketime', () => {
  test('a server and a worker that ran an hour fast and were corrected', async () => {
    const clock = await clockToSet(HOUR_S)
    const stack = await startStack({ ...fleetFiles(STORY_HOSTS), env: { ...UNSIGNED, ...clock.env } })
    await tellClockStory(stack, () => clock.setTo(0))
  }, 90_000)

  test('a server and a worker that ran right and were set an hour ahead', async () => {
    const clock = await clockToSet(0)
    const stack = await startStack({ ...fleetFiles(STORY_HOSTS), env: clock.env })
    await tellClockStory(stack, () => clock.setTo(HOUR_S))
  }, 90_000)

  test('a server and a worker that ran an hour fast, and were started again with the right time', async () => {
    const env = { ...UNSIGNED, MUSTER_PORT: String(await freePort()) }
    const stack = await startStack({ ...fleetFiles(STORY_HOSTS), env, workers: 0, serverEnv: wrongBy(HOUR_S) })
    await stack.startWorker(wrongBy(HOUR_S))
    await tellClockStory(stack, async () => {
      await stack.restartServer({})
    })
  }, 90_000)

  test.each([
    ['back', -HOUR_S],
    ['ahead', HOUR_S],
  ])(
    "Redis' clock is set %s by an hour",
    async (_word, seconds) => {
      const clock = await clockToSet(0)
      const redis = await ownRedis(clock.env)
      const stack = await startStack({ ...fleetFiles(STORY_HOSTS), redisUrl: redis.url, workers: 2 })
      await tellClockStory(stack, () => clock.setTo(seconds))
    },
    90_000,
  )

  test('Redis is killed, and comes back with a clock that is an hour behind', async () => {
    const clock = await clockToSet(0)
    const redis = await ownRedis(clock.env)
    const stack = await startStack({ ...fleetFiles(STORY_HOSTS), redisUrl: redis.url, workers: 2 })
    await tellClockStory(stack, async () => {
      await redis.process.restart('SIGKILL', 200, () => clock.setTo(-HOUR_S))
      await expect.poll(async () => (await stack.ask('GET', '/v1/jobs')).status, { timeout: 20_000 }).toBe(200)
    })
  }, 90_000)
})
