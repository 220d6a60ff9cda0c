/** How often a worker has sent a command, whatever Redis says of it. */
import type { Claim } from '@muster/ledger'
import { expect, test } from 'vitest'
import { OwnStarts } from '../../../apps/worker/src/hold/own-starts.ts'

const LATER_MS = Date.now() + 3_600_000

function claimOf(jobId: string, index: number): Claim {
  const nobody = { host: 'h', attempt: 1, epoch: 1, nonce: 'n', worker: 'w', execTimeoutMs: 1, concurrency: 1 }
  return { jobId, index, total: 3, ...nobody }
}

test('a command is sent to each host as often as was signed, and a start that was given back does not count', () => {
  const starts = new OwnStarts()
  const signed = { total: 3, sends: 2, untilMs: LATER_MS }
  const take = (index: number) => starts.take(claimOf('a', index), signed)
  expect([take(0), take(0), take(0)]).toEqual([true, true, false])
  starts.giveBack(claimOf('a', 0))
  expect([take(0), take(0), take(2)]).toEqual([true, false, true])
  expect(starts.take(claimOf('b', 0), signed)).toBe(true)
  expect([0, 1, 2].map((index) => starts.isSpent(claimOf('a', index), signed))).toEqual([true, false, false])
  expect([starts.take(claimOf('a', 0), undefined), starts.isSpent(claimOf('a', 0), undefined)]).toEqual([true, false])
})

test('a job is remembered until none of its attempts may start any more', () => {
  const starts = new OwnStarts()
  const [over, later] = [Date.now() - 1, LATER_MS].map((untilMs) => ({ total: 1, sends: 1, untilMs }))
  if (over === undefined || later === undefined) throw new Error('two')
  starts.take(claimOf('over', 0), over)
  starts.take(claimOf('later', 0), later)
  starts.take(claimOf('more', 0), later)
  expect(starts.take(claimOf('over', 0), over)).toBe(true)
  expect(starts.take(claimOf('later', 0), later)).toBe(false)
})

test('when memory is short, the job that came first is forgotten', () => {
  const starts = new OwnStarts(2_000)
  const signed = { total: 600, sends: 1, untilMs: LATER_MS }
  for (const job of ['a', 'b', 'c']) starts.take(claimOf(job, 0), signed)
  expect(starts.take(claimOf('c', 0), signed)).toBe(false)
  expect(starts.take(claimOf('b', 0), signed)).toBe(false)
  expect(starts.take(claimOf('a', 0), signed)).toBe(true)
})
