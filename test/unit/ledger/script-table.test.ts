/**
 * What TypeScript and Lua must agree on: what a script is given and in which order, the fields of a ticket and of a
 * claim, and the fields of a run. The Lua side is read from the text of the scripts.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { StoredRun } from '../../../libs/ledger/src/job/stored-run.ts'
import { LONGEST_OPEN_MS } from '../../../libs/ledger/src/read/breakers.ts'
import { SHARED_FILES } from '../../../libs/ledger/src/redis/load-script.ts'
import { CLAIMED_FIELDS, SCRIPTS, TICKET_FIELDS } from '../../../libs/ledger/src/redis/script-table.ts'

const LUA = new URL('../../../libs/ledger/lua/', import.meta.url)
const SRC = new URL('../../../libs/ledger/src/', import.meta.url)

const luaFiles = readdirSync(LUA, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.lua'))
const readLua = (file: string) => withoutComments(readFileSync(new URL(file, LUA), 'utf8'))
const rows = Object.entries(SCRIPTS)

test('every Lua file is a script or shared', () => {
  const named = [...rows.map(([, { file }]) => file), ...SHARED_FILES.map((name) => `shared/${name}`)]
  expect(luaFiles.toSorted()).toEqual(named.map((file) => `${file}.lua`).toSorted())
})

test.each(rows)('%s names its keys and arguments as the table does', (_name, row) => {
  const { keys, args, rest, head } = headOf(readLua(`${row.file}.lua`))
  const firstKey = row.isOfJob ? 2 : 1
  const isKeyUnnamed = row.file === 'read/now'
  expect(keys).toEqual(isKeyUnnamed ? [] : row.keys.map((key, i) => [firstKey + i, snakeCase(key)]))
  expect(args).toEqual(row.args.map((arg, i) => [3 + i, snakeCase(arg)]))
  expect(rest).toEqual(row.rest === undefined ? undefined : [3 + row.args.length, snakeCase(row.rest)])
  // No other line takes one by its number.
  expect(readLua(`${row.file}.lua`).replace(head, '')).not.toMatch(/(ARGV|KEYS)\[\d/)
})

test('a head with two arguments swapped is told from the table', () => {
  const swapped = 'local index, nonce, epoch = ARGV[3], ARGV[4], ARGV[5]\nlet_in()\n'
  expect(headOf(swapped).args).not.toEqual(SCRIPTS['hand-over'].args.map((arg, i) => [3 + i, arg]))
})

test('shared files take nothing by its number but the base and the job ID', () => {
  const shared = luaFiles.filter((file) => file.startsWith('shared/'))
  const taken = shared.flatMap((file) => [...readLua(file).matchAll(/(?:ARGV|KEYS)\[\d+\]/g)].map(([text]) => text))
  expect(taken).toEqual(['ARGV[1]', 'ARGV[2]'])
})

test.each(rows)('%s stands behind all that it uses', (_name, { text }) => {
  const code = namesOnly(text)
  const declared = namesDeclared(code)
  const used = new Set(code.replace(/\w+ = /g, '').match(/[A-Za-z_]\w*/g))
  expect([...used].filter((name) => !declared.has(name) && !LUA_WORDS.has(name))).toEqual([])
  // Lua takes a local that is declared further down for a global.
  for (const { 1: name = '', index } of code.matchAll(/^local function (\w+)/gm)) {
    expect(code.slice(0, index)).not.toMatch(new RegExp(`\\b${name}\\(`))
  }
})

test('a shared file holds nothing but definitions, which begin at the margin', () => {
  for (const file of SHARED_FILES) {
    const others = readLua(`shared/${file}.lua`).match(/^(?!local |\w+ = function|end$|\s|\}|$).*/gm)
    expect(others).toBe(null)
  }
})

test('a script does not stand behind what it does not use', () => {
  const functionsOf = ({ text }: { text: string }) =>
    [...text.matchAll(/^local function (\w+)/gm)].map(([, name]) => name)
  expect(functionsOf(SCRIPTS.now)).toEqual(['now_ms'])
  expect(functionsOf(SCRIPTS['keep-secret'])).toEqual(['let_in'])
  expect(functionsOf(SCRIPTS.dispatch)).not.toContain('settle')
  expect(functionsOf(SCRIPTS.finish)).toContain('settle')
})

test('a ticket has the same fields on both sides', () => {
  expect(listIn('shared/prelude.lua', 'TICKET_FIELDS')).toEqual(TICKET_FIELDS)
})

test('a claim is told the same fields on both sides', () => {
  expect(listIn('steps/claim.lua', 'CLAIMED_FIELDS')).toEqual(CLAIMED_FIELDS)
})

test('a breaker is open at most as long on both sides', () => {
  const [, openMs = ''] = /local OPEN_MS = \{([^}]*)\}/.exec(readLua('shared/breaker.lua')) ?? []
  expect(Math.max(...[...openMs.matchAll(/\d+/g)].map(Number))).toBe(LONGEST_OPEN_MS)
})

test('each field of a run that somebody reads is one that somebody writes', () => {
  const written = new Set([...writtenByLua(), ...writtenAtItsEnd()])
  expect(written.size).toBeGreaterThan(30)
  const read = new Set([...Object.keys(StoredRun.shape), ...readByLua(), ...readBySweep()])
  expect([...read].filter((field) => !written.has(field))).toEqual([])
})

function withoutComments(text: string): string {
  return text.replace(/--.*$/gm, '')
}

/** Lua's own words, and the globals that Redis gives a script. */
const LUA_WORDS = new Set(
  `and break do else elseif end false for function if in local nil not or repeat return then true until while
  ARGV KEYS cjson redis ipairs pairs pcall math string table tonumber tostring type unpack`.match(/\w+/g),
)

/** Code without comments, texts and the names of fields. */
function namesOnly(code: string): string {
  return withoutComments(code)
    .replace(/'[^'\n]*'/g, '')
    .replace(/(?<=[\w\])])\.\w+/g, '')
}

function namesDeclared(code: string): Set<string> {
  const lists = code.matchAll(/local (?!function)([\w, ]+)|function ?(\w*)\(([^)]*)\)|for ([\w, ]+?) (?:in|=)/g)
  return new Set([...lists].flatMap(([, ...found]) => found.flatMap((list = '') => list.match(/\w+/g) ?? [])))
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** The lines at the beginning of a script that name what it is given. */
function headOf(code: string) {
  const head =
    /^(?:\s*local [\w, ]+ = (?:(?:ARGV|KEYS)\[\d+\](?:, )?)+$|\s*local \w+_from = \d+$|\s*$)*/m.exec(code)?.[0] ?? ''
  const named = (array: string) =>
    [...head.matchAll(/local ([\w, ]+) = (.*)/g)].flatMap(([, names = '', values = '']) => {
      const numbers = [...values.matchAll(new RegExp(`${array}\\[(\\d+)\\]`, 'g'))].map(([, number]) => Number(number))
      return names.split(', ').flatMap((name, i) => (numbers[i] === undefined ? [] : [[numbers[i], name]]))
    })
  const [, rest, from] = /local (\w+)_from = (\d+)/.exec(head) ?? []
  return { head, keys: named('KEYS'), args: named('ARGV'), rest: rest === undefined ? undefined : [Number(from), rest] }
}

function listIn(file: string, name: string): string[] {
  const [, list = ''] = new RegExp(`local ${name} = \\{([^}]*)\\}`).exec(readLua(file)) ?? []
  return [...list.matchAll(/'(\w+)'/g)].map(([, field = '']) => field)
}

/** Fields that Lua sets in the hash of a run, which it calls `key` or `run_key(...)`; but for breakers. */
function writtenByLua(): string[] {
  const own = luaFiles.filter((file) => file !== 'shared/breaker.lua').flatMap((file) => setIn(readLua(file)))
  const output = listIn('shared/kept-output.lua', 'OUTPUT_FIELDS')
  return [...own, ...output, ...output.map((field) => `kept_${field}`)]
}

function setIn(code: string): string[] {
  const calls = code.matchAll(/redis\.call\('(HSET|HSETNX|HINCRBY)', (?:run\.)?(?:key|run_key\([\w.]+\)), /g)
  return [...calls].flatMap(({ 0: call, 1: command, index }) => {
    const args = argumentsFrom(code, index + call.length)
    const fields = command === 'HSET' ? args.filter((_, i) => i % 2 === 0) : args.slice(0, 1)
    return fields.flatMap((field) => [...field.matchAll(/'(\w+)'/g)].map(([, name = '']) => name))
  })
}

/** The arguments of a call from an offset up to its closing bracket. */
function argumentsFrom(code: string, from: number): string[] {
  const found = ['']
  let depth = 1
  for (const char of code.slice(from)) {
    if (char === '(' || char === '{') depth += 1
    if (char === ')' || char === '}') depth -= 1
    if (depth === 0) break
    if (char === ',' && depth === 1) found.push('')
    else found.push((found.pop() ?? '') + char)
  }
  return found
}

function readByLua(): string[] {
  const code = luaFiles.map(readLua).join('\n')
  const calls = code.matchAll(/local run = read\((?:key|run_key\(\w+\)|base \.\. '[^)]*?), ('[^)]*)\)/g)
  return [...calls].flatMap(([, fields = '']) => [...fields.matchAll(/'([a-z]\w*)'/g)].map(([, field = '']) => field))
}

/** The fields that TypeScript hands to finish.lua, to be stored as they are. */
function writtenAtItsEnd(): string[] {
  const code = readFileSync(new URL('steps/finish-run.ts', SRC), 'utf8')
  return [...code.matchAll(/\['(\w+)', /g)].map(([, field = '']) => field)
}

function readBySweep(): string[] {
  const code = readFileSync(new URL('clockwork/sweep.ts', SRC), 'utf8')
  const [, fields = ''] = /const fields = \[([^\]]*)\]/.exec(code) ?? []
  return [...fields.matchAll(/'(\w+)'/g)].map(([, field = '']) => field)
}
