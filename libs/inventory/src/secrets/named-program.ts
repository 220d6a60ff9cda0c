/**
 * The programs that an inventory or an SSH config may have run: those that the worker's operator has named, and no
 * others. Either may come from somebody else; what it says alone must never run anything.
 *
 * Where a path leads is decided after all links, as with secret files. Runs nothing.
 */
import { constants, type Stats } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MusterError } from '@muster/contract'
import { SecretRefused } from './confined-file.ts'
import { directoryOf, type SecretDirectory, shown, whereItLeads } from './secret-directories.ts'
import { Changed, strictModesFault } from './strict-modes.ts'

/** Directories with shells and interpreters, which run whatever their arguments say. */
const SYSTEM_PROGRAMS = new Set([
  '/',
  '/bin',
  '/sbin',
  '/usr',
  '/usr/bin',
  '/usr/sbin',
  '/usr/local',
  '/usr/local/bin',
  '/usr/local/sbin',
  '/opt',
  '/opt/homebrew/bin',
])

/** What programs are called, and where the operator names those that may be run. */
type ProgramKind = 'credential command' | 'proxy command'
const VARIABLES: Readonly<Record<ProgramKind, string>> = {
  'credential command': 'MUSTER_CREDENTIAL_COMMANDS',
  'proxy command': 'MUSTER_PROXY_COMMANDS',
}

/**
 * The real path of a program that may be run. `named` are the absolute paths of the programs, and of directories of
 * programs, that the operator has named.
 * @throws {SecretRefused} it is not one of them, or others can change it
 * @throws {MusterError} invalid_config: it is not there, or is no program
 */
export async function findNamedProgram(kind: ProgramKind, path: string, named: readonly string[]): Promise<string> {
  const variable = VARIABLES[kind]
  const refused = (why: string) => new SecretRefused('invalid_config', `the ${kind} ${shown(path)} is not run: ${why}`)
  const way = await whereItLeads(path)
  if (way === undefined) throw refused('it is a link in a circle')
  const within = await namedPlaceOf(way.file, named)
  if (within === undefined) {
    const where = way.file === path ? 'it is' : `it leads to ${shown(way.file)}, which is`
    throw refused(`${where} not among the programs that the worker's operator names in ${variable}`)
  }
  if (within === 'too wide') {
    const why = 'whose programs do whatever an inventory says'
    throw refused(`${variable} names ${dirname(way.file)}, ${why}; name the program itself`)
  }
  const unusable = (why: string) =>
    new MusterError('invalid_config', `the ${kind} ${shown(path)} cannot be run: ${why}`)
  const stats = await stat(way.file).catch((error: unknown) => {
    throw unusable(error instanceof Error && 'code' in error ? String(error.code) : String(error))
  })
  if (!stats.isFile()) throw unusable('it is not a regular file')
  const fault = await faultOf(way, stats, within)
  if (fault !== undefined) throw refused(fault)
  const isExecutable = await access(way.file, constants.X_OK).then(
    () => true,
    () => false,
  )
  if (!isExecutable) throw unusable(`it is not executable: chmod +x ${shown(way.file)}`)
  return way.file
}

async function faultOf(
  way: { readonly file: string; readonly through: readonly string[] },
  stats: Stats,
  within: SecretDirectory,
): Promise<string | undefined> {
  try {
    const directories = [...way.through, ...within.through]
    return await strictModesFault({ path: way.file, stats, directories }, within, false)
  } catch (error) {
    if (error instanceof Changed) return 'what leads to it is being replaced'
    throw error
  }
}

/** Where the operator has named the program with this real path; undefined: nowhere. */
async function namedPlaceOf(file: string, named: readonly string[]): Promise<SecretDirectory | 'too wide' | undefined> {
  let isTooWide = false
  for (const path of named) {
    const way = await whereItLeads(path)
    if (way === undefined) continue
    const place: SecretDirectory = { path: way.file, through: way.through, trust: 'own', holds: () => true }
    if (way.file === file) return place
    if (directoryOf(file, [place]) !== place) continue
    if (!SYSTEM_PROGRAMS.has(way.file)) return place
    isTooWide = true
  }
  return isTooWide ? 'too wide' : undefined
}
