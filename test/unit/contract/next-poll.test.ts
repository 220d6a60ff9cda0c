/** How long a job is left alone before it is looked at again. */
import { nextPollS } from '@muster/contract'
import { expect, test } from 'vitest'

test('the older a job, the longer, from 2 to 30 seconds', () => {
  expect([0, 5, 8, 20, 60, 120, 86_400].map(nextPollS)).toEqual([2, 2, 2, 5, 15, 30, 30])
})
