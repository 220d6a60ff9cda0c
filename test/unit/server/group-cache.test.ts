/** What is remembered of what jobs have printed, and for how long. */
import type { AnswerOutput } from '@muster/contract'
import { expect, test } from 'vitest'
import { createGroupCache } from '../../../apps/server/src/tools/group-cache.ts'

const output = (stdout: string): AnswerOutput => ({
  data: '',
  groups: [{ hosts: 'h0', count: 1, state: 'succeeded', stdout }],
})

/** A cache, and how often something was made for it. */
function countingCache(limitBytes?: number) {
  const cache = createGroupCache(limitBytes)
  let made = 0
  const get = (key: string, stdout = key) =>
    cache.get(key, async () => {
      made += 1
      return output(stdout)
    })
  return { cache, get, made: () => made }
}

test('it is made once for a key, also when many ask at the same time', async () => {
  const { get, made } = countingCache()
  await Promise.all([get('a'), get('a'), get('b')])
  expect(await get('a')).toEqual(output('a'))
  expect(made()).toBe(2)
})

test('what was not asked for longest goes when there is too much, counted by its size', async () => {
  const { get, made } = countingCache(8_000)
  await get('a', 'x'.repeat(1_500))
  await get('b', 'x'.repeat(1_500))
  await get('a')
  await get('c', 'x'.repeat(1_500))
  expect(made()).toBe(3)
  await get('a')
  expect(made()).toBe(3)
  await get('b')
  expect(made()).toBe(4)
  // What is larger than all of the room is answered, and not kept.
  await get('d', 'x'.repeat(20_000))
  expect((await get('d', 'y')).groups[0]?.stdout).toBe('y')
})

test('a failure is reported to those who wait for it, and forgotten', async () => {
  const { cache, get } = countingCache()
  const failing = () => cache.get('a', () => Promise.reject(new Error('away')))
  const both = await Promise.allSettled([failing(), failing()])
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await get('a')).toEqual(output('a'))
})
