/**
 * Loads a Lua script of `../../lua`, behind those definitions of `lua/shared` that it needs: the ones that it names,
 * and the ones that those name. Redis runs the whole text at every call and makes every function in it anew, so a
 * definition that nobody calls costs time.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** The files of `lua/shared`, each of which uses only those before it. */
export const SHARED_FILES = [
  'prelude',
  'room',
  'kept-output',
  'places',
  'holder',
  'breaker',
  'keys',
  'settle',
  'clocks',
  'retry',
  'release',
] as const

/** One script, and what it is given. */
export type ScriptRow<Keys extends readonly string[], Args extends readonly string[], IsOfJob extends boolean> = {
  /** Below `lua`, without its ending. */
  readonly file: string
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
  const text = withShared(readLua(row.file))
  return { ...row, text, sha: createHash('sha1').update(text).digest('hex') }
}

function readLua(file: string): string {
  return readFileSync(new URL(`../../lua/${file}.lua`, import.meta.url), 'utf8')
}

/**
 * A statement of a shared file, which holds nothing else. It begins at the margin: `local a, b = …`,
 * `local function a()`, or `a = function()` for a name that was declared before.
 */
type Definition = { readonly names: readonly string[]; readonly uses: ReadonlySet<string>; readonly text: string }

const BEGINNING = /^(?:local function (\w+)|local (\w+(?:, \w+)*)|(\w+) = )/

/** The definitions of a shared file, without the comments between them. */
function definitionsOf(file: string): Definition[] {
  const code = readLua(`shared/${file}`).replace(/^--.*\n/gm, '')
  return code.split(/^(?=local |\w+ = )/m).map((text) => {
    const [, ...names] = BEGINNING.exec(text) ?? []
    return {
      names: names.filter((name) => name !== undefined).flatMap((list) => list.split(', ')),
      uses: namesIn(text),
      text,
    }
  })
}

/** The names that a piece of Lua uses, and some words more; but no field behind a dot. */
function namesIn(code: string): Set<string> {
  const bare = code.replace(/--.*$/gm, '').replace(/'[^'\n]*'/g, "''")
  return new Set(bare.match(/(?<!\w|[^.]\.)[A-Za-z_]\w*/g))
}

const [NAMES = [], ...OTHERS] = SHARED_FILES.map(definitionsOf)

/**
 * The script behind the definitions that it needs. Those of the prelude, which nearly all others use, are in a function
 * around them: Lua finds a name of an outer function faster than one beside.
 */
function withShared(script: string): string {
  const others = OTHERS.flat()
  const needed = neededFor(script, [...NAMES, ...others])
  const textOf = (some: readonly Definition[]) => some.filter((each) => needed.has(each)).map(({ text }) => text)
  const [outer, inner] = [textOf(NAMES), textOf(others)]
  if (inner.length === 0) return [...outer, script].join('')
  return [...outer, 'return (function()\n', ...inner, script, 'end)()\n'].join('')
}

function neededFor(script: string, all: readonly Definition[]): Set<Definition> {
  const byName = new Map<string, Definition[]>()
  for (const definition of all) {
    for (const name of definition.names) byName.set(name, [...(byName.get(name) ?? []), definition])
  }
  const needed = new Set<Definition>()
  const want = (names: ReadonlySet<string>) => {
    for (const definition of [...names].flatMap((name) => byName.get(name) ?? [])) {
      if (needed.has(definition)) continue
      needed.add(definition)
      want(definition.uses)
    }
  }
  want(namesIn(script))
  return needed
}
