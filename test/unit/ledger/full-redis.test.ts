/** Every script of the ledger either is let into a full Redis, or is refused before it is full; or it only reads. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const LUA = new URL('../../../libs/ledger/lua/', import.meta.url)
/** What they may call without asking for memory. */
const READS = new Set([
  'EXISTS',
  'GET',
  'GETRANGE',
  'HGET',
  'HGETALL',
  'HMGET',
  'LINDEX',
  'LLEN',
  'LRANGE',
  'PTTL',
  'SRANDMEMBER',
  'STRLEN',
  'TIME',
  'TTL',
  'ZCOUNT',
  'ZRANGEBYSCORE',
])
/** Something that changes Redis. */
const WRITES = /redis\.call\('(?:H?SET|HSETNX|HINCRBY|S?ADD|ZADD|R?PUSH)|\b(?:settle|move|changed)\b/

const scripts = readdirSync(LUA, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.lua') && !file.startsWith('shared/'),
)

test('there are scripts', () => {
  expect(scripts.length).toBeGreaterThan(15)
})

test.each(scripts)('%s has its place when Redis is full', (file) => {
  const code = readFileSync(new URL(file, LUA), 'utf8').replace(/--.*$/gm, '')
  const calls = [...code.matchAll(/redis\.call\('([A-Z]+)'/g)].map(([, command = '']) => command)
  const isReadOnly = calls.every((command) => READS.has(command))
  // What a function of the script does, it does where it is called.
  const functions = [...code.matchAll(/^local function (\w+)\(.*\n(?: .*\n|\n)*end$/gm)]
  const writers = functions.filter(([body]) => WRITES.test(body)).map(([, name]) => `${name}\\(`)
  const steps = functions.reduce((rest, [body]) => rest.replace(body, ''), code)
  const first = new RegExp(['let_in\\(\\)', 'is_full\\(', WRITES.source, ...writers].join('|')).exec(steps)
  expect(isReadOnly || first?.[0] === 'let_in()' || first?.[0] === 'is_full(').toBe(true)
})
