/** The ID of a JSON-RPC request that is too long to be kept. */
import { type MessageId, searchMessageId } from '@muster/contract'
import { describe, expect, test } from 'vitest'

const LONG = 'x'.repeat(300_000)

/** What is found when the text arrives in pieces of this many bytes. */
function idIn(text: string, pieceBytes = 7): MessageId {
  const search = searchMessageId()
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += pieceBytes) search.take(bytes.subarray(at, at + pieceBytes))
  return search.found()
}

describe('the ID is found', () => {
  test.each<[string, string, MessageId]>([
    ['before the parameters', `{"jsonrpc":"2.0","id":7,"method":"m","params":{"a":"${LONG}"}}`, 7],
    [
      'behind them, as the TypeScript SDK writes it',
      `{"method":"m","params":{"a":"${LONG}"},"jsonrpc":"2.0","id":8}`,
      8,
    ],
    ['as a text', `{"params":["${LONG}"],"id":"a \\"b\\" \\u00e9"}`, 'a "b" é'],
    ['between blanks', `{ "params" : {} ,\n "id" :\t-3 }`, -3],
    ['of a body that was cut', `{"id":9,"method":"m","params":{"a":"${LONG}`, 9],
    ['among others deeper down', `{"params":{"id":1,"x":[{"id":2}]},"id":3}`, 3],
    ['behind texts that look like it', `{"a":"\\"id\\":1","b":"}","id":4,"c":"id"}`, 4],
    ['which is empty', '{"id":""}', ''],
  ])('%s', (_what, text, id) => {
    expect(idIn(text)).toBe(id)
    expect(idIn(text, 100_000)).toBe(id)
  })
})

describe('there is none', () => {
  test.each([
    ['in a notification', '{"method":"m","params":{"id":1}}'],
    ['that is clear when there are two', '{"id":1,"id":2}'],
    ['in a batch', '[{"id":1},{"id":2}]'],
    ['that is an object', '{"id":{"a":1}}'],
    ['that is null', '{"id":null}'],
    ['that is a fraction', '{"id":1.5}'],
    ['that is cut off', '{"method":"m","id":12'],
    ['that is a long text', `{"id":"${LONG}"}`],
    ['as a value', '{"name":"id","x":1}'],
    ['in what is no JSON', '}}}{{{":,id'],
    ['in nothing', ''],
  ])('%s', (_what, text) => {
    expect(idIn(text)).toBe(null)
  })
})
