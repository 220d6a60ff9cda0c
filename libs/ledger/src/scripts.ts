/**
 * Runs the Lua scripts of `../lua`. Each is one atomic step; `prelude.lua` stands in front of every one.
 *
 * Does not say what a script means; the module that calls it does.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { z } from 'zod'

const read = (name: string) => readFileSync(new URL(`../lua/${name}.lua`, import.meta.url), 'utf8')
const prelude = read('prelude')
const load = (name: string) => {
  const text = `${prelude}\n${read(name)}`
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

/** The scripts by name. */
const SCRIPTS = {
  accept: load('accept'),
  claim: load('claim'),
  dispatch: load('dispatch'),
  'fall-back': load('fall-back'),
  append: load('append'),
  output: load('output'),
  finish: load('finish'),
  'hand-over': load('hand-over'),
  cancel: load('cancel'),
  expire: load('expire'),
  extend: load('extend'),
  abandon: load('abandon'),
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

/** A run that may start or go on: what a script hands back for a ticket to be made of. */
export type Released = {
  readonly index: number
  readonly host: string
  readonly attempt: number
  readonly resume: number
  /** How long the ticket waits before it is delivered, in milliseconds; 0: at once. */
  readonly delayMs: number
}

const Strings = z.array(z.string()).min(1)

/** An answer of the form `{word, index, host, attempt, resume, delay, index, host, ...}`. */
export function parseReleased(answer: unknown): { word: string; released: Released[] } {
  const [word = '', ...rest] = Strings.parse(answer)
  const released: Released[] = []
  for (let i = 0; i + 4 < rest.length; i += 5) {
    const [index, host = '', attempt, resume, delayMs] = rest.slice(i, i + 5)
    released.push({
      index: Number(index),
      host,
      attempt: Number(attempt),
      resume: Number(resume),
      delayMs: Number(delayMs),
    })
  }
  return { word, released }
}
