/**
 * The settings of a process, from every source that it believes: the command line, the environment, a file named on the
 * command line, and the file `muster.env` or `.env` of the one directory of settings. The first of these that sets a
 * variable, as `NAME` or `NAME_FILE`, decides. The working directory sets nothing by itself.
 */
import { join, resolve } from 'node:path'
import { MusterError } from '@muster/contract'
import type { Environment } from './config.ts'
import { movedNote } from './moved-files.ts'
import { baseName, isOwnName, readEnvText, relativeIn } from './own-variables.ts'
import { findPlaces, type Places } from './places.ts'
import { readTrustedFile } from './trusted-file.ts'
import { workingDirectory } from './working-directory.ts'

/** The names of the file in the directory of settings; there may be one of them. */
const ENV_FILES = ['muster.env', '.env'] as const

/** Where settings come from. */
export type SettingsRequest = {
  readonly env: Environment
  /** A file named by the user. */
  readonly envFile?: string | undefined
  /** An inventory named by the user. */
  readonly inventory?: string | undefined
  /** Believes the environment alone: another process has read the files. */
  readonly envOnly?: boolean | undefined
  /** The working directory, to tell a person of files that were read there once. Default: nobody is told. */
  readonly cwd?: string | undefined
  /** Refuses relative paths: the process is started in directories of others. */
  readonly absoluteOnly?: boolean
  /** Values of the lowest rank. */
  readonly lowest?: Environment
}

/** One source: its name for people, and what it sets. */
type SettingsSource = { readonly name: string; readonly values: Environment; readonly isFile?: true }

/** The settings of a process. */
export type Settings = {
  /** The environment with all settings in it. HOME, MUSTER_DATA_DIR and MUSTER_INVENTORY are always set. */
  readonly env: Environment
  readonly places: Places
  /** The sources that set one of Muster's variables, the most important first. */
  readonly sources: readonly SettingsSource[]
  /** What the operator should know, such as what was left out of a file. */
  readonly notes: readonly string[]
  /** What of it is about `~/.muster` alone, for who may not know whose the working directory is. */
  readonly homeNote: string | undefined
}

/**
 * Reads all sources.
 * @throws {MusterError} `invalid_config` when a file is missing, cannot be read, or others could have written it
 */
export async function readSettings(request: SettingsRequest): Promise<Settings> {
  const { env, lowest = {} } = request
  if (request.absoluteOnly === true) refuseRelative(request, 'this command is started in folders of others')
  if (workingDirectory() === undefined) refuseRelative(request, 'the working directory has been removed')
  const places = await findPlaces(env)
  const flags = request.inventory === undefined ? {} : { MUSTER_INVENTORY: resolve(request.inventory) }
  const files = request.envOnly === true ? [] : await readFiles(request, places)
  const sources = [
    { name: 'the command line', values: flags },
    { name: 'the environment', values: ownOf(env) },
    ...files,
    { name: 'the working directory', values: lowest, isFile: true as const },
  ]
  const own = firstOf(sources)
  const { home, stateDir, configDir } = places
  const preset = {
    HOME: home,
    ...(isSet(own, 'MUSTER_DATA_DIR') ? {} : { MUSTER_DATA_DIR: stateDir }),
    ...(isSet(own, 'MUSTER_INVENTORY') ? {} : { MUSTER_INVENTORY: join(configDir, 'inventory.yaml') }),
  }
  const others = Object.entries(env).filter(([name]) => !isOwnName(name))
  const unset = {
    envFile: files.length === 0 && Object.keys(lowest).length === 0,
    inventory: !isSet(own, 'MUSTER_INVENTORY'),
    dataDir: !isSet(own, 'MUSTER_DATA_DIR'),
  }
  const isTold = request.cwd !== undefined && request.envOnly !== true
  const moved = isTold ? await movedNote(request.cwd, places, unset) : undefined
  const homeNote = isTold ? await movedNote(undefined, places, unset) : undefined
  const notes = [...files.map(({ note }) => note), moved].filter((note) => note !== undefined)
  return { env: { ...Object.fromEntries(others), ...own, ...preset }, places, sources, notes, homeNote }
}

function refuseRelative({ env, envFile, inventory }: SettingsRequest, why: string): void {
  const flags = { MUSTER_INVENTORY: inventory, MUSTER_ENV_FILE: envFile }
  const source = relativeIn(flags) === undefined ? env : flags
  const name = relativeIn(source)
  if (name === undefined) return
  const shown = source === flags ? name.replace('MUSTER_', '--').replace('_', '-').toLowerCase() : name
  const received = Object.entries(source).find(([given]) => given === name)?.[1]
  throw new MusterError(
    'invalid_config',
    `${shown}: received ${JSON.stringify(received)}; give an absolute path, because ${why}.`,
  )
}

/** Whether `NAME` or `NAME_FILE` has a value. */
function isSet(env: Environment, name: string): boolean {
  return Boolean(env[name] || env[`${name}_FILE`])
}

type ReadFile = SettingsSource & { readonly note: string | undefined }

async function readFiles({ envFile }: SettingsRequest, places: Places): Promise<ReadFile[]> {
  const named = envFile === undefined ? [] : [await readNamed(resolve(envFile), places)]
  const found = await Promise.all(ENV_FILES.map((name) => readIfThere(join(places.configDir, name), places)))
  const [first, second] = found.filter((file) => file !== undefined)
  if (first !== undefined && second !== undefined) {
    const advice = 'Keep one of them: both are read as the settings of this directory.'
    throw new MusterError('invalid_config', `There are both ${first.name} and ${second.name}. ${advice}`)
  }
  return [...named, ...(first === undefined ? [] : [first])]
}

async function readNamed(file: string, places: Places): Promise<ReadFile> {
  const read = await readIfThere(file, places)
  if (read !== undefined) return read
  throw new MusterError('invalid_config', `--env-file: there is no file ${file}.`)
}

async function readIfThere(file: string, { home }: Places): Promise<ReadFile | undefined> {
  const text = await readTrustedFile(file)
  return text === undefined ? undefined : { name: file, isFile: true, ...readEnvText(text, file, home) }
}

function ownOf(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => isOwnName(name)))
}

/** For each variable, what the first source says that sets it in either form. An empty value counts: it unsets. */
function firstOf(sources: readonly SettingsSource[]): Environment {
  const decided = new Set<string>()
  const values: Record<string, string | undefined> = {}
  for (const source of sources) {
    const names = Object.keys(source.values).filter((name) => source.values[name] !== undefined)
    const added = names.filter((name) => !decided.has(baseName(name)))
    for (const name of added) values[name] = source.values[name]
    for (const name of added) decided.add(baseName(name))
  }
  return values
}
