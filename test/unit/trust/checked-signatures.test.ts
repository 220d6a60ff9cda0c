/** Signatures that were checked before: asked for once, as long as they are remembered, and only if they fitted. */
import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { CheckedSignatures } from '../../../libs/trust/src/checked-signatures.ts'

function remembering() {
  const checked = new CheckedSignatures(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)
  let asked = 0
  const fits = (text: string, signature: string, isFitting = true) =>
    checked.fits(text, signature, () => {
      asked += 1
      return isFitting
    })
  return { fits, asked: () => asked }
}

test('one that fitted is not checked again, for its own text alone', () => {
  const { fits, asked } = remembering()
  expect([fits('a', 's'), fits('a', 's')]).toEqual([true, true])
  expect(asked()).toBe(1)
  expect([fits('b', 's', false), fits('a', 't', false)]).toEqual([false, false])
  expect(asked()).toBe(3)
})

test('one that did not fit is checked again each time', () => {
  const { fits, asked } = remembering()
  expect([fits('a', 's', false), fits('a', 's', false), fits('a', 's')]).toEqual([false, false, true])
  expect(asked()).toBe(3)
})

test('those that are not asked for are forgotten, and those that are stay', () => {
  const { fits, asked } = remembering()
  fits('kept', 's')
  fits('not kept', 's')
  for (let i = 0; i < 250_000; i += 1) {
    fits(`${i}`, 's')
    if (i % 50_000 === 0) fits('kept', 's')
  }
  const before = asked()
  expect([fits('kept', 's'), asked() - before]).toEqual([true, 0])
  expect([fits('not kept', 's'), asked() - before]).toEqual([true, 1])
})
