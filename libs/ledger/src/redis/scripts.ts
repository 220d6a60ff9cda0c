/**
 * Runs the Lua scripts of `../../lua`. Each is one atomic step; what they share stands in front of every one.
 *
 * Does not say what a script means; the module that calls it does.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'

const read = (name: string) => readFileSync(new URL(`../../lua/${name}.lua`, import.meta.url), 'utf8')
/** What the scripts share, each file building on those before it; a script stands behind what it needs of it. */
const NAMES = read('prelude')
const HOST = `${NAMES}\n${read('host')}`
const END = `${HOST}\n${read('settle')}`
const ALL = `${END}\n${read('release')}`
const ROOM = read('room')
const load = (name: string, shared = ALL) => {
  const text = `${shared}\n${read(name)}`
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

/** The scripts by name. */
const SCRIPTS = {
  accept: load('accept', `${ALL}\n${ROOM}`),
  'store-text': load('store-text', `${NAMES}\n${ROOM}`),
  claim: load('claim'),
  dispatch: load('dispatch', END),
  'fall-back': load('fall-back', NAMES),
  append: load('append', `${NAMES}\n${ROOM}`),
  output: load('output', NAMES),
  finish: load('finish'),
  'hand-over': load('hand-over', END),
  cancel: load('cancel'),
  tend: load('tend'),
  extend: load('extend', NAMES),
  recount: load('recount', NAMES),
  resume: load('resume'),
  'set-concurrency': load('set-concurrency'),
  abandon: load('abandon'),
  repair: load('repair'),
  'dial-slot': load('dial-slot'),
  due: load('due', NAMES),
  'sweep-turn': load('sweep-turn', NAMES),
  suspect: load('suspect', NAMES),
  now: load('now', NAMES),
  heartbeat: load('heartbeat', NAMES),
  'keep-secret': load('keep-secret', NAMES),
}

type ScriptName = keyof typeof SCRIPTS
type Arguments = ReadonlyArray<string | number | Buffer>

/** Runs a script by its digest, and sends its text only when Redis does not have it (after a restart). */
export async function runScript(
  redis: Redis,
  name: ScriptName,
  keys: readonly string[],
  args: Arguments,
): Promise<unknown> {
  const { sha, text } = SCRIPTS[name]
  return await orByText(
    () => redis.evalsha(sha, keys.length, ...keys, ...args),
    () => redis.eval(text, keys.length, ...keys, ...args),
  )
}

/** The same for a script that answers with bytes: every text in the answer is a buffer. */
export async function runScriptForBytes(
  redis: Redis,
  name: ScriptName,
  keys: readonly string[],
  args: Arguments,
): Promise<unknown> {
  const { sha, text } = SCRIPTS[name]
  return await orByText(
    () => redis.callBuffer('EVALSHA', sha, keys.length, ...keys, ...args),
    () => redis.callBuffer('EVAL', text, keys.length, ...keys, ...args),
  )
}

async function orByText(bySha: () => Promise<unknown>, byText: () => Promise<unknown>): Promise<unknown> {
  try {
    return await bySha()
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return await byText()
  }
}
