/** How a key is asked for on a terminal. */
import { expect, test } from 'vitest'
import { askSecret } from '../../../apps/cli/src/line/ask-secret.ts'

/** A terminal on which a person types this, and what happens on it in turn. */
function terminal(typed: string) {
  const happened: unknown[] = []
  const stdin = {
    isTTY: true,
    setRawMode: (isRaw: boolean) => happened.push({ isShown: !isRaw }),
    ref: () => {},
    unref: () => {},
    async *iterator() {
      happened.push('read')
      yield typed
    },
    async *[Symbol.asyncIterator]() {
      yield 'a terminal that is closed after the first question'
    },
  }
  return { stdin, happened, ask: (text: string) => void happened.push(text) }
}

test('nothing that is typed is shown, from before the question until after the answer', async () => {
  const { stdin, happened, ask } = terminal('wrong\x7f\x7f\x7f\x7f\x7fright\r')
  expect(await askSecret(stdin, ask, 'Key: ')).toBe('right')
  expect(happened).toEqual([{ isShown: false }, 'Key: ', 'read', { isShown: true }, '\n'])
})

test('Ctrl-C ends it, and the terminal shows again what is typed', async () => {
  const { stdin, happened, ask } = terminal('half\x03')
  await expect(askSecret(stdin, ask, 'Key: ')).rejects.toThrow('nothing was done')
  expect(happened).toContainEqual({ isShown: true })
})
