/** Turns for handshakes through a jump host, shared by workers, against a real Redis. */
import { setTimeout as sleep } from 'node:timers/promises'
import { openJumpTurns } from '@muster/ledger'
import { expect, onTestFinished, test } from 'vitest'
import { openTestLedger } from '../../support/ledger/ledger.ts'

async function twoWorkers() {
  const ledger = await openTestLedger()
  const [one, other] = [openJumpTurns(ledger, 'one'), openJumpTurns(ledger, 'other')]
  onTestFinished(() => {
    one.close()
    other.close()
  })
  return { ledger, one, other }
}

const never = () => new AbortController().signal

test('eight are held at once by all workers together, and one that is given back goes to who waits', async () => {
  const { one, other } = await twoWorkers()
  const ends = await Promise.all(Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? one : other).take('jump', never())))
  let isHeld = false
  const ninth = one.take('jump', never()).then((end) => {
    isHeld = true
    return end
  })
  await (await other.take('another jump', never()))()
  await sleep(200)
  expect(isHeld).toBe(false)
  ends[0]?.()
  await ninth
  expect(isHeld).toBe(true)
})

test('who is told to stop leaves without a turn', async () => {
  const { one, other } = await twoWorkers()
  await Promise.all(Array.from({ length: 8 }, () => one.take('jump', never())))
  const stop = new AbortController()
  const waiting = other.take('jump', stop.signal)
  stop.abort()
  await expect(waiting).rejects.toThrow()
})

test('the turns of a worker that is gone come free by themselves, and those of one that lives do not', async () => {
  const { ledger, one, other } = await twoWorkers()
  await Promise.all(Array.from({ length: 7 }, () => one.take('jump', never())))
  await other.take('jump', never())
  // As if it had died: nobody renews what it holds.
  one.close()
  const waiter = openJumpTurns(ledger, 'waiter')
  onTestFinished(() => waiter.close())
  await Promise.all(Array.from({ length: 7 }, () => waiter.take('jump', never())))
  await expect(waiter.take('jump', AbortSignal.timeout(5_000))).rejects.toThrow()
}, 40_000)
