/**
 * Servers and workers whose date is an hour wrong: what is due comes in seconds, every job ends, nothing runs twice.
 * Nothing is signed here: a worker refuses work of a clock that is that wrong (signed-work.test.ts).
 */
import { describe, test } from 'vitest'
import { STORY_HOSTS, tellClockStory } from '../../support/stack/clock-story.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { FAKETIME, wrongBy } from '../../support/stack/skewed-clock.ts'
import { startStack, UNSIGNED } from '../../support/stack/stack.ts'

const HOUR_S = 3_600

describe.skipIf(FAKETIME === undefined)('with libfaketime', () => {
  test.each([
    { clock: 'the server, fast', server: HOUR_S, workers: [0, 0] },
    { clock: 'the server, slow', server: -HOUR_S, workers: [0, 0] },
    { clock: 'every worker, fast', server: 0, workers: [HOUR_S, HOUR_S] },
    { clock: 'every worker, slow', server: 0, workers: [-HOUR_S, -HOUR_S] },
    { clock: 'one of two workers, fast', server: 0, workers: [HOUR_S, 0] },
    { clock: 'one of two workers, slow', server: 0, workers: [0, -HOUR_S] },
  ])(
    'an hour wrong: $clock: retries, deadlines and dead workers are seen to all the same',
    async ({ server, workers }) => {
      const stack = await startStack({
        ...fleetFiles(STORY_HOSTS),
        workers: 0,
        env: UNSIGNED,
        serverEnv: wrongBy(server),
      })
      for (const seconds of workers) await stack.startWorker(wrongBy(seconds))
      await tellClockStory(stack)
    },
    90_000,
  )
})
