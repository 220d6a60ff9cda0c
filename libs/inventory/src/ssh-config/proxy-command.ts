/**
 * `ProxyCommand`: the program that leads to a host. ssh hands the line to a shell; Muster takes only a program with
 * plain arguments, which needs none, and only one that the operator has named. Starts nothing.
 */
import { basename } from 'node:path'
import { expandTokens, type Tokens } from './tokens.ts'

/** A program by its absolute path, and its arguments. */
export type ProgramArgv = readonly [string, ...string[]]

/** One word of a line: plain characters, 'quoted' and "quoted" ones, none of which a shell would change. */
const WORD = /[ \t]*((?:[\w@%+=:,./^-]|'[^']*'|"[^"$`\\!]*")+)(?=[ \t]|$)/y

/**
 * The program and its arguments; or why the line is not followed. `programs` are the absolute paths that the operator
 * has named: a bare name stands for the one of that name.
 */
export function proxyProgram(
  line: string,
  tokens: Tokens,
  programs: readonly string[],
): { readonly argv: ProgramArgv } | { readonly why: string } {
  const words = shellWords(line)
  const [first = '', ...rest] = words?.[0] === 'exec' ? words.slice(1) : (words ?? [])
  if (words === undefined || first === '') return { why: 'Muster starts a program with plain arguments, and no shell' }
  const program = programs.find((path) => path === first || (!first.includes('/') && basename(path) === first))
  if (program === undefined) return { why: 'it would run a program that MUSTER_PROXY_COMMANDS does not name' }
  const args = rest.map((word) => expandTokens(word, tokens))
  const unknown = args.find((arg) => arg.unknown !== undefined)?.unknown
  return unknown === undefined ? { argv: [program, ...args.map(({ text }) => text)] } : { why: unknown }
}

/** The words as a shell would take them. Undefined where a shell would do more than that. */
function shellWords(line: string): string[] | undefined {
  const text = line.replace(/^[ \t]*=?[ \t]*|[ \t]+$/g, '')
  const words: string[] = []
  let end = 0
  while (end < text.length) {
    WORD.lastIndex = end
    const [, word] = WORD.exec(text) ?? []
    if (word === undefined) return undefined
    words.push(word.replaceAll(/'([^']*)'|"([^"]*)"/g, (_all, single, double) => String(single ?? double)))
    end = WORD.lastIndex
  }
  return words
}
