/** What JSON must not hold although a parser takes it: names given twice, reserved names, too much of anything. */
import { troubleInJson } from '@muster/contract'
import { describe, expect, test } from 'vitest'

const list = (length: number) => Array.from({ length }, () => '')
const deep = (levels: number) => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`

test.each([
  ['nothing odd', '{"command":"x","targets":"@web","env":{"A":"1","B":"2"},"batches":[1,"10%"]}'],
  ['the same name in two objects', '[{"a":1},{"a":2,"b":{"a":3}}]'],
  [
    'a name as a value, or within a text',
    '{"a":"a","b":"__proto__","c":["constructor",","],"d":"\\"d\\":1,\\"d\\":2"}',
  ],
  ['texts that end in backslashes', '{"a":"\\\\","b":"\\\\\\"","c":"{[","d":1}'],
  ['empty objects and lists', '{"a":{},"b":[],"c":[{},{}]}'],
  ['as many levels as there may be', deep(64)],
  ['a number alone', '7'],
  [
    'a thousand arguments and variables',
    JSON.stringify({ argv: list(1_000), env: Object.fromEntries(list(1_000).entries()) }),
  ],
  ['a text of any length', JSON.stringify({ stdin: ',[{'.repeat(1_000_000) })],
])('%s is left to the parser', (_what, text) => {
  JSON.parse(text)
  expect(troubleInJson(text)).toBeUndefined()
})

describe('is named, with the way to it:', () => {
  test.each([
    ['a name given twice', '{"command":"x","command":"y"}', 'command', /given twice/],
    ['twice, spelled with an escape', '{"env":{"A":"1","\\u0041":"2"}}', 'env.A', /given twice/],
    ['twice, far apart and below a list', '{"a":[0,{"b":1,"c":[{}],"b":2}]}', 'a.b', /given twice/],
    ['__proto__', '{"env":{"__proto__":"x"}}', 'env.__proto__', /reserved/],
    ['__proto__ with an escape', '{"env":{"\\u005f_proto__":"x"}}', 'env.__proto__', /reserved/],
    [
      'constructor',
      '{"params":{"arguments":{"env":{"constructor":"x"}}}}',
      'params.arguments.env.constructor',
      /reserved/,
    ],
    ['prototype', '{"prototype":{}}', 'prototype', /reserved/],
    ['one level too many', deep(65), 'a', /65 levels deep.*at most 64/],
    ['a hundred thousand levels', deep(100_000), 'a', /levels deep/],
  ])('%s', (_what, text, field, why) => {
    JSON.parse(text)
    expect(troubleInJson(text)).toEqual({ field, text: expect.stringMatching(why) })
  })
})

describe('more than anybody needs is refused where it begins to be too much, and not read to its end:', () => {
  test.each([
    ['numbers', `{"argv":[${'1,'.repeat(1_000_000)}1]}`, 'argv', 10_006],
    ['empty lists', `{"argv":[${'[],'.repeat(1_000_000)}1]}`, 'argv', 7_506],
    [
      'fields',
      `{${list(100_000)
        .map((_, i) => `"f${i}":1`)
        .join(',')}}`,
      'f4999',
      48_890,
    ],
    ['blanks', `{"a":${' '.repeat(10_000_000)}1}`, 'a', 1_048_578],
    ['digits', `{"a":${'1'.repeat(10_000_000)}}`, 'a', 1_048_578],
  ])('%s', (_what, text, field, at) => {
    expect(troubleInJson(text)).toEqual({ field, text: expect.stringMatching(`goes on at character ${at} beyond`) })
  })
})

test('a long name is shortened, and control characters in it do not reach a terminal', () => {
  const name = `\\u001b[2J${'n'.repeat(10_000)}`
  const trouble = troubleInJson(`{"${name}":1,"${name}":2}`)
  expect(trouble?.field.length).toBeLessThan(100)
  expect(trouble?.field).not.toContain('\u001b')
})

test.each(['{"a', '{"a":', '{"a":}', '}}}]', '{"a":"\\', '{"\\u00":1,"\\u00":2}', ',,,', '"'])(
  'text that is no JSON, %s, is no fault of ours',
  (text) => {
    expect(() => troubleInJson(text)).not.toThrow()
  },
)

test('a text full of quotes and backslashes is read once, not once for each of them', () => {
  const text = JSON.stringify({ a: '\\"'.repeat(2_000_000) })
  expect(troubleInJson(text)).toBeUndefined()
})
