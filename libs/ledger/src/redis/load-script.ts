/** Loads a Lua script of `../../lua`, with the shared files that stand before it. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** One script, and what it is given. */
export type ScriptRow<Keys extends readonly string[], Args extends readonly string[], IsOfJob extends boolean> = {
  /** Below `lua`, without its ending. */
  readonly file: string
  /** Files in `lua/shared`, each of which uses only those before it. */
  readonly shared: readonly string[]
  readonly isOfJob: IsOfJob
  readonly keys: Keys
  readonly args: Args
  /** Absent: nothing follows the named arguments. */
  readonly rest?: string
}

/** The row with the whole text of its script, and the digest by which Redis knows that text. */
export function loadScript<
  const Keys extends readonly string[],
  const Args extends readonly string[],
  const IsOfJob extends boolean,
>(row: ScriptRow<Keys, Args, IsOfJob>): ScriptRow<Keys, Args, IsOfJob> & { text: string; sha: string } {
  const text = [...row.shared.map((name) => `shared/${name}`), row.file].map(readLua).join('\n')
  return { ...row, text, sha: createHash('sha1').update(text).digest('hex') }
}

function readLua(file: string): string {
  return readFileSync(new URL(`../../lua/${file}.lua`, import.meta.url), 'utf8')
}
