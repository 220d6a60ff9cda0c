/** Secrets that programs give: who asks when, how many at once, and what is kept. */
import { setMaxListeners } from 'node:events'
import type { GivenSecretRef } from '@muster/inventory'
import { SecretScrubber } from '@muster/runtime'
import { expect, test } from 'vitest'
import { AskedSecrets } from '../../../apps/worker/src/reach/asked-secrets.ts'

const REF: GivenSecretRef = { kind: 'command', gives: 'password', argv: ['/opt/give'], ttlS: 60 }
const host = (name: string) => ({ name, address: '10.0.0.1', port: 22, user: 'me' })
const never = new AbortController().signal
setMaxListeners(0, never)

/** Secrets of a program that is asked by hand: each question waits until it is answered. */
function asked() {
  const scrubber = new SecretScrubber()
  const questions: { host: string; answer: (value: string) => void; fail: () => void }[] = []
  const ask = (_ref: GivenSecretRef, { name }: { name: string }) =>
    new Promise<string>((resolve, reject) => {
      questions.push({ host: name, answer: resolve, fail: () => reject(new Error('no answer')) })
    })
  return { secrets: new AskedSecrets(ask, scrubber), questions, scrubber }
}

test('equal questions at the same time share one run of the program, others have one each', async () => {
  const { secrets, questions } = asked()
  const all = Promise.all(['a', 'a', 'b', 'a'].map((name) => secrets.get(REF, host(name), never)))
  expect(questions.map((question) => question.host)).toEqual(['a', 'b'])
  for (const question of questions) question.answer(`of ${question.host}`)
  const values = (await all).map(({ value, isKept }) => [value, isKept])
  expect(values).toEqual([
    ['of a', false],
    ['of a', false],
    ['of b', false],
    ['of a', false],
  ])
})

test('a secret is asked for again once its time is over, and each time if it has none', async () => {
  const { secrets, questions } = asked()
  const get = async (name: string, ttlS: number) => {
    const asking = secrets.get({ ...REF, ttlS }, host(name), never)
    questions.at(-1)?.answer('s')
    return (await asking).isKept
  }
  expect([await get('a', 0), await get('a', 0)]).toEqual([false, false])
  expect([await get('b', 60), await get('b', 60), questions.length]).toEqual([false, true, 3])
  await get('c', 0.05)
  await expect.poll(() => get('c', 0.05), { interval: 60 }).toBe(false)
})

test('a secret that a host has refused is not given again from what is kept', async () => {
  const { secrets, questions } = asked()
  const first = secrets.get(REF, host('a'), never)
  questions[0]?.answer('old')
  await first
  const second = secrets.get(REF, host('a'), never, 'old')
  questions[1]?.answer('new')
  expect(await second).toEqual({ value: 'new', isKept: false })
  expect(await secrets.get(REF, host('a'), never, 'old')).toEqual({ value: 'new', isKept: true })
})

test('a failure is for those who wait for it, and not kept', async () => {
  const { secrets, questions } = asked()
  const both = Promise.allSettled([1, 2].map(() => secrets.get(REF, host('a'), never)))
  questions[0]?.fail()
  expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  const again = secrets.get(REF, host('a'), never)
  questions[1]?.answer('s')
  expect((await again).value).toBe('s')
})

test('eight programs run at once, and the others in the order in which they were asked', async () => {
  const { secrets, questions } = asked()
  const names = Array.from({ length: 12 }, (_, index) => `h${index}`)
  const all = Promise.allSettled(names.map((name) => secrets.get(REF, host(name), never)))
  expect(questions).toHaveLength(8)
  questions[3]?.answer('s')
  await expect.poll(() => questions.length).toBe(9)
  questions[0]?.fail()
  await expect.poll(() => questions.length).toBe(10)
  for (let index = 0; index < 12; index += 1) {
    await expect.poll(() => questions.length).toBeGreaterThan(index)
    questions[index]?.answer('s')
  }
  expect((await all).filter(({ status }) => status === 'rejected')).toHaveLength(1)
  expect(questions.map((question) => question.host)).toEqual(names)
})

test('a run that is stopped does not wait, and takes the program from nobody else', async () => {
  const { secrets, questions } = asked()
  const stop = new AbortController()
  const stopped = secrets.get(REF, host('a'), stop.signal)
  const patient = secrets.get(REF, host('a'), never)
  stop.abort('shutdown')
  await expect(stopped).rejects.toThrow('stopped before its secret was there')
  questions[0]?.answer('s')
  expect((await patient).value).toBe('s')
})

test('a program is not run for runs that were all stopped before its turn, and is for one that is left', async () => {
  const { secrets, questions } = asked()
  const busy = Array.from({ length: 8 }, (_, index) => secrets.get(REF, host(`busy${index}`), never))
  const stop = new AbortController()
  const stopped = ['a', 'a', 'b'].map((name) => secrets.get(REF, host(name), stop.signal))
  const patient = secrets.get(REF, host('b'), never)
  stop.abort('cancelled_by_user')
  for (const one of stopped) await expect(one).rejects.toThrow('stopped before its secret was there')
  await expect(secrets.get(REF, host('c'), stop.signal)).rejects.toThrow('stopped before its secret was there')
  for (const question of questions) question.answer('s')
  await Promise.all(busy)
  await expect.poll(() => questions.map((question) => question.host).slice(8)).toEqual(['b'])
  questions[8]?.answer('of b')
  expect((await patient).value).toBe('of b')
  // Whoever asks later is a new question.
  const later = secrets.get(REF, host('a'), never)
  questions[9]?.answer('of a')
  expect((await later).value).toBe('of a')
})

test('the log knows the newest secrets, and forgets those of long ago', async () => {
  const { secrets, questions, scrubber } = asked()
  const value = (index: number) => `secret-number-${index};`
  for (let index = 0; index < 501; index += 1) {
    const asking = secrets.get({ ...REF, ttlS: 0 }, host('a'), never)
    questions[index]?.answer(value(index))
    await asking
  }
  expect(scrubber.scrub(`it is ${value(1)} ${value(500)}`)).toBe('it is [secret] [secret]')
  expect(scrubber.scrub(`it is ${value(0)}`)).toBe(`it is ${value(0)}`)
})
