/**
 * The variables that are Muster's own. From a file only these are read: others, such as NODE_OPTIONS, PATH or
 * LD_PRELOAD, would make a file of settings one that runs code.
 */
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import type { Environment } from './config.ts'

/** Of these and of names that begin with `MUSTER_`, a file may set `NAME` and `NAME_FILE`. */
const OTHER_NAMES: ReadonlySet<string> = new Set(['REDIS_URL', 'SSH_SERVERS', 'LOG_LEVEL'])

/** It says which files are read, so no file can set it. */
const FROM_ENVIRONMENT_ALONE = 'MUSTER_CONFIG_DIR'

const PATHS: ReadonlySet<string> = new Set(['MUSTER_DATA_DIR', 'MUSTER_INVENTORY', 'MUSTER_SSH_CONFIG'])
/** They hold several paths, separated by `:`. */
const PATH_LISTS: ReadonlySet<string> = new Set([
  'MUSTER_KNOWN_HOSTS',
  'MUSTER_SECRET_DIRS',
  'MUSTER_ADHOC_KEY_DIRS',
  'MUSTER_CREDENTIAL_COMMANDS',
  'MUSTER_PROXY_COMMANDS',
])

/** Names that are worth telling. Anything else may be a piece of a secret that spans several lines. */
const TOLD_NAME = /^[A-Z][A-Z0-9_]{0,39}$/
const TOLD_NAMES = 8

/** The name that `NAME` and `NAME_FILE` both give a value to. */
export function baseName(name: string): string {
  return name.replace(/_FILE$/, '')
}

/** Whether a variable is Muster's own, in either form. */
export function isOwnName(name: string): boolean {
  return /^MUSTER_[A-Z0-9_]+$/.test(name) || OTHER_NAMES.has(baseName(name))
}

/** What a file of settings says. */
export type EnvFile = {
  /** Muster's own variables. Paths are absolute: relative ones start at the directory of the file. */
  readonly values: Environment
  /** Says which variables were left out, by name; undefined when there are none. */
  readonly note: string | undefined
}

/** Reads the text of the file at the absolute path `file`. `home` is what `~` stands for. */
export function readEnvText(text: string, file: string, home = homedir()): EnvFile {
  const entries = Object.entries(parseEnv(text))
  const isTaken = (name: string) => isOwnName(name) && baseName(name) !== FROM_ENVIRONMENT_ALONE
  const base = { directory: dirname(file), home }
  const taken = entries.flatMap(([name, value]) =>
    isTaken(name) && value !== undefined ? [[name, absolute(name, value, base)] as const] : [],
  )
  const others = entries
    .map(([name]) => name)
    .filter((name) => !isTaken(name))
    .toSorted()
  return { values: Object.fromEntries(taken), note: others.length === 0 ? undefined : leftOut(file, others) }
}

/** The first variable whose path would depend on the working directory; undefined when there is none. */
export function relativeIn(env: Environment): string | undefined {
  const isRelative = (path: string) => path !== '' && !isAbsolute(path) && path !== '~' && !path.startsWith('~/')
  return Object.keys(env).find((name) => pathsOf(name, env[name] ?? '').some(isRelative))
}

/** The paths in the value of a variable of Muster's own; none when it holds something else. */
function pathsOf(name: string, value: string): string[] {
  if (PATH_LISTS.has(name)) return value.split(':')
  return PATHS.has(name) || (isOwnName(name) && name.endsWith('_FILE')) ? [value] : []
}

function absolute(name: string, value: string, base: { directory: string; home: string }): string {
  const paths = pathsOf(name, value)
  if (value === '' || paths.length === 0) return value
  return paths.map((path) => absolutePath(path, base)).join(':')
}

function absolutePath(path: string, { directory, home }: { directory: string; home: string }): string {
  // No shell does that for a value from a file.
  return path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : resolve(directory, path)
}

function leftOut(file: string, names: readonly string[]): string {
  const told = names.filter((name) => TOLD_NAME.test(name)).slice(0, TOLD_NAMES)
  const rest = names.length - told.length
  const list = [...told, ...(rest === 0 ? [] : [`${rest} ${told.length === 0 ? 'names' : 'more'}`])].join(', ')
  return `${file}: only Muster's own settings are read from a file; left out: ${list}`
}
