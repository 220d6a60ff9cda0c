/** Whose turn it is to dial. */

import { expect, test } from 'vitest'
import { DialQueue } from '../../../libs/ssh/src/pool/dial-queue.ts'

const never = () => new AbortController().signal

test('a job on one host waits for one dial of a job on many, not for all of them', async () => {
  const queue = new DialQueue(1)
  const order: string[] = []
  const one = async (fairKey: string) => {
    const end = await queue.enter(fairKey, never())
    order.push(fairKey)
    await Promise.resolve()
    end?.()
  }
  const many = Array.from({ length: 100 }, () => one('many'))
  await Promise.all([...many, one('single'), one('other'), one('other')])
  expect(order.slice(0, 5)).toEqual(['many', 'many', 'single', 'other', 'many'])
})

test('never more at once than allowed, and a turn that is given back twice counts once', async () => {
  const queue = new DialQueue(3)
  let now = 0
  let most = 0
  const one = async (i: number) => {
    const end = await queue.enter(`job ${i % 4}`, never())
    now += 1
    most = Math.max(most, now)
    await new Promise((resolve) => setTimeout(resolve, 1))
    now -= 1
    end?.()
    end?.()
  }
  await Promise.all(Array.from({ length: 40 }, (_, i) => one(i)))
  expect(most).toBe(3)
})

test('who leaves takes no turn along, whether it was waiting, had been given one, or was about to begin', async () => {
  const queue = new DialQueue(2)
  const first = await queue.enter('a', never())
  const leave = new AbortController()
  // The second is on its way to begin a moment later than the first.
  const leaving = [queue.enter('a', leave.signal), queue.enter('a', leave.signal), queue.enter('b', leave.signal)]
  leave.abort()
  expect(await Promise.all(leaving)).toEqual([undefined, undefined, undefined])
  const second = await queue.enter('a', never())
  expect(second).toBeDefined()
  first?.()
  expect(await queue.enter('c', never())).toBeDefined()
})
