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
  append: load('append'),
  finish: load('finish'),
  cancel: load('cancel'),
  abandon: load('abandon'),
}

/** Runs a script by its digest, and sends its text only when Redis does not have it (after a restart). */
export async function runScript(
  redis: Redis,
  name: keyof typeof SCRIPTS,
  keys: readonly string[],
  args: ReadonlyArray<string | number | Buffer>,
): Promise<unknown> {
  const { sha, text } = SCRIPTS[name]
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...args)
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return await redis.eval(text, keys.length, ...keys, ...args)
  }
}

/** A run that may start now: what a script hands back for a ticket to be made of. */
export type Released = { readonly index: number; readonly host: string; readonly attempt: number }

const Strings = z.array(z.string()).min(1)

/** An answer of the form `{word, index, host, attempt, index, host, attempt, ...}`. */
export function parseReleased(answer: unknown): { word: string; released: Released[] } {
  const [word = '', ...rest] = Strings.parse(answer)
  const released: Released[] = []
  for (let i = 0; i + 2 < rest.length; i += 3) {
    released.push({ index: Number(rest[i]), host: rest[i + 1] ?? '', attempt: Number(rest[i + 2]) })
  }
  return { word, released }
}
