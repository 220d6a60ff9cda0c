/**
 * The `%` tokens, `${VARIABLES}` and `~` in values of an SSH config.
 * @see ssh_config(5), TOKENS and ENVIRONMENT VARIABLES
 */
import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { resolve } from 'node:path'

/** A text with what it stands for put in, and what could not be; then the text is of no use. */
export type Expanded = { readonly text: string; readonly unknown?: string }

/** Values by the letter of their token. */
export type Tokens = Readonly<Record<string, string>>

/** Where file names start, and what they may refer to. */
export type FileNameContext = {
  readonly home: string
  /** The directory of the config, where relative names start: a service has no working directory of its own. */
  readonly directory: string
  readonly tokens: Tokens
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Variables that hold secrets of Muster or of hosts: nothing else may be made of them. */
const OWN_VARIABLE = /^(?:MUSTER_.*|REDIS_URL|SSH_SERVERS)(?:_FILE)?$/

/** The tokens of this machine and its user. */
export function localTokens(home: string, user: string): Tokens {
  const own = hostname()
  const uid = process.getuid?.()
  const [short = own] = own.split('.')
  return { '%': '%', d: home, l: own, L: short, u: user, ...(uid !== undefined && { i: String(uid) }) }
}

/** The value of `%C` without a jump host: a digest of `%l%h%p%r`. */
export function connectionHash({ l = '', h, p, r }: Tokens & { h: string; p: string; r: string }): string {
  return createHash('sha1').update(`${l}${h}${p}${r}`).digest('hex')
}

/** Puts tokens in. */
export function expandTokens(text: string, tokens: Tokens): Expanded {
  return expand(text, /%(.?)/gs, (letter) => known(tokens, letter))
}

/** The absolute file name that a text with `~`, tokens and variables stands for. */
export function expandFileName(text: string, { home, directory, tokens, env }: FileNameContext): Expanded {
  if (/^~[^/]/.test(text)) return { text, unknown: 'only ~/ is known, not the home of another user' }
  const path = text.startsWith('~') ? `${home}${text.slice(1)}` : text
  const expanded = expand(path, /%(.?)|\$\{([^}]*)\}/gs, (letter, name) => {
    return name === undefined ? known(tokens, letter) : variable(env, name)
  })
  return { ...expanded, text: resolve(directory, expanded.text) }
}

type Found = { readonly value: string } | { readonly missing: string }

function expand(text: string, pattern: RegExp, find: (first: string, second?: string) => Found): Expanded {
  let unknown: string | undefined
  const expanded = text.replace(pattern, (all: string, first: string | undefined, second: unknown) => {
    const found = find(first ?? '', typeof second === 'string' ? second : undefined)
    if ('value' in found) return found.value
    unknown ??= found.missing
    return all
  })
  return { text: expanded, ...(unknown !== undefined && { unknown }) }
}

function known(tokens: Tokens, letter: string): Found {
  if (Object.hasOwn(tokens, letter)) return { value: tokens[letter] ?? '' }
  if (letter === '') return { missing: 'it ends in a single %' }
  return { missing: /^[!-~]$/.test(letter) ? `the token %${letter} is not known here` : 'a token is not known here' }
}

function variable(env: FileNameContext['env'], name: string): Found {
  const value = OWN_VARIABLE.test(name) ? undefined : env[name]
  if (value !== undefined) return { value }
  const shown = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name) ? name : 'it names'
  return { missing: `the environment variable ${shown} has no value here` }
}
