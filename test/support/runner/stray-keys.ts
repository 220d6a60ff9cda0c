/**
 * Keys in the shared Redis that belong to no test. Spoken over a bare socket: this runs after every test file, and
 * loading a client takes longer than all the rest.
 */
import { connect } from 'node:net'

/** Every test has a prefix of its own, which begins so. */
const TEST_PREFIX = '{test-'

const LIST = `
local found, cursor = {}, '0'
repeat
  local page = redis.call('SCAN', cursor, 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    if key:sub(1, #ARGV[1]) ~= ARGV[1] then found[#found + 1] = key end
  end
until cursor == '0'
return cjson.encode(found)`

const REMOVE = `
for _, key in ipairs(ARGV) do redis.call('DEL', key) end
return '{}'`

/** Lists them. Rejects when Redis does not answer. */
export async function strayKeys(redisUrl: string): Promise<string[]> {
  const json = await runScript(redisUrl, LIST, [TEST_PREFIX])
  // An empty table of Lua is an object in JSON.
  return json === '{}' ? [] : JSON.parse(json)
}

/** Removes them, so that no other file is blamed for them too. */
export async function removeKeys(redisUrl: string, keys: readonly string[]): Promise<void> {
  await runScript(redisUrl, REMOVE, keys)
}

async function runScript(redisUrl: string, script: string, args: readonly string[]): Promise<string> {
  const { hostname, port, password } = new URL(redisUrl)
  const socket = connect(Number(port), hostname)
  socket.end([['AUTH', password], ['EVAL', script, '0', ...args], ['QUIT']].map(encode).join(''))
  const answer = Buffer.concat(await socket.toArray()).toString()
  const [, result] = /^\+OK\r\n\$\d+\r\n(.*)\r\n\+OK\r\n$/s.exec(answer) ?? []
  if (result === undefined) throw new Error(`Redis answered ${JSON.stringify(answer)}`)
  return result
}

function encode(words: readonly string[]): string {
  return [`*${words.length}`, ...words.flatMap((word) => [`$${Buffer.byteLength(word)}`, word]), ''].join('\r\n')
}
