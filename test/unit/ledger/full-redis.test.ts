/** Every script of the ledger either is let into a full Redis, or is refused before it is full; or it only reads. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const LUA = new URL('../../../libs/ledger/lua/', import.meta.url)
/** What stands in front of scripts. */
const SHARED = new Set(['prelude', 'host', 'settle', 'release', 'room'])
/** What they may call without asking for memory. */
const READS = new Set(['EXISTS', 'GET', 'GETRANGE', 'HGET', 'HGETALL', 'HMGET', 'STRLEN', 'TIME', 'TTL', 'PTTL'])

const scripts = readdirSync(LUA)
  .map((file) => file.replace(/\.lua$/, ''))
  .filter((name) => !SHARED.has(name))

test('there are scripts, and all that is shared is there', () => {
  expect(scripts.length).toBeGreaterThan(15)
  expect(readdirSync(LUA)).toEqual(expect.arrayContaining([...SHARED].map((name) => `${name}.lua`)))
})

test.each(scripts)('%s has its place when Redis is full', (name) => {
  const lines = readFileSync(new URL(`${name}.lua`, LUA), 'utf8').split('\n')
  const code = lines.filter((line) => !line.startsWith('--')).join('\n')
  const calls = [...code.matchAll(/redis\.call\('([A-Z]+)'/g)].map(([, command = '']) => command)
  const isReadOnly = calls.every((command) => READS.has(command))
  const first =
    /let_in\(\)|is_full\(|\b(?:redis\.call\('(?:H?SET|HINCRBY|S?ADD|ZADD|R?PUSH)|settle|move|changed)\b/.exec(code)
  expect(isReadOnly || first?.[0] === 'let_in()' || first?.[0] === 'is_full(').toBe(true)
})
