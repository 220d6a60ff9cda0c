/** Secrets in streams: masked however the stream is cut, with no byte more or less. */
import { prepareMasks } from '@muster/runtime'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

/** The stream after its mask, and whether anything was masked. */
function through(secrets: readonly string[], pieces: readonly string[]) {
  const masks = prepareMasks(secrets)()
  const stream = masks.stream()
  const passed = pieces.map((piece) => stream.pass(Buffer.from(piece)).toString())
  return { text: [...passed, stream.rest().toString()].join(''), hasMasked: masks.hasMasked(), passed }
}

test.each([
  ['as it is', 'the token is s3cr3t-t0ken.', `the token is ${'*'.repeat(12)}.`],
  ['twice', 's3cr3t-t0kens3cr3t-t0ken', '*'.repeat(24)],
  ['in base64', `x ${Buffer.from('s3cr3t-t0ken').toString('base64')} y`, `x ${'*'.repeat(16)} y`],
])('a secret is masked %s', (_how, text, wanted) => {
  expect(through(['s3cr3t-t0ken'], [text])).toMatchObject({ text: wanted, hasMasked: true })
})

test.each(['', 'a:', 'ab:'])('a secret is masked in base64 of a longer text, behind %j', (before) => {
  const encoded = Buffer.from(`${before}s3cr3t-t0ken!`).toString('base64')
  const { text } = through(['s3cr3t-t0ken'], [encoded])
  expect(text).toHaveLength(encoded.length)
  // At most the digits at both ends, in which there are bits of its neighbours, are left.
  expect(text.replaceAll('*', '').length).toBeLessThanOrEqual(8)
})

test.each([
  ['URL-encoded', 'a b&c/d'],
  ['quoted for a shell', "it's a secret"],
  ['quoted in JSON', 'say "secret"'],
])('a secret is masked %s', (how, secret) => {
  const forms = {
    'URL-encoded': encodeURIComponent(secret),
    'quoted for a shell': secret.replaceAll("'", "'\\''"),
    'quoted in JSON': JSON.stringify(secret).slice(1, -1),
  }
  const form = new Map(Object.entries(forms)).get(how) ?? ''
  expect(through([secret], [`<${form}>`]).text).toBe(`<${'*'.repeat(form.length)}>`)
})

describe('however it is cut', () => {
  const secret = 'abcabcd'
  const text = fc.stringMatching(/^[abcd ]{0,60}$/)
  test('the same is masked, and no byte is lost', () => {
    fc.assert(
      fc.property(text, text, fc.array(fc.nat(80)), (before, after, cuts) => {
        const whole = `${before}${secret}${after}`
        const at = [0, ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b), whole.length]
        const pieces = at.slice(1).map((end, i) => whole.slice(at[i], end))
        const { text: masked, hasMasked } = through([secret, 'bca '], pieces)
        expect(masked).toBe(through([secret, 'bca '], [whole]).text)
        expect(masked).toHaveLength(whole.length)
        expect(masked).not.toContain(secret)
        expect(hasMasked).toBe(true)
        expect([...masked].every((char, i) => char === '*' || char === whole[i])).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})

test('only what may be the beginning of a secret is held back', () => {
  const { passed, text } = through(['password'], ['no such thing', 'pass', 'age, and a pass'])
  expect(passed).toEqual(['no such thing', '', 'passage, and a '])
  expect(text).toBe('no such thingpassage, and a pass')
})

test('a text that two secrets share is masked whole, though one ends where the other goes on', () => {
  // "abcab" is whole, and its end may be the beginning of "abX".
  expect(through(['abcab', 'abX1'], ['abcab', 'Y']).text).toBe('*****Y')
})

test('a value too short to be told from other text is left as it is', () => {
  expect(through(['abc'], ['abc']).text).toBe('abc')
})
