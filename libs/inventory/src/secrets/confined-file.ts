/**
 * Opens a file that a reference of the inventory names, if it really lies in one of the directories for secrets and
 * its owner and mode are right, and reads it.
 *
 * What was opened is checked, and what was checked is read: the file may be exchanged, or a directory on the way become
 * a link, at any time. No error holds any part of the content.
 */
import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, readlink, stat } from 'node:fs/promises'
import { MusterError } from '@muster/contract'
import {
  directoriesFor,
  directoryOf,
  isForRequests,
  namesOf,
  type SecretDirectories,
  type SecretDirectory,
  shown,
  type Use,
  type Way,
  whereItLeads,
} from './secret-directories.ts'
import { Changed, strictModesFault } from './strict-modes.ts'

/** A secret or a key is short: a big file was named by mistake. */
const LIMIT_BYTES = 65_536

/** A file that takes longer to read is on a dead network disk. */
const READ_TIMEOUT_MS = 10_000

/** A mount of Kubernetes is exchanged as a whole when the secret changes; that does not happen so often in a row. */
const ATTEMPTS = 10

/** Where a person names more directories. */
const SETTINGS = {
  secret: 'MUSTER_SECRET_DIRS',
  key: 'MUSTER_SECRET_DIRS',
  'key of a request': 'MUSTER_ADHOC_KEY_DIRS',
} as const satisfies Record<Use, string>

const OUTSIDE = 'lies outside the directories for it'
const IN_LOG = 'the log of the worker says more'

/** A link that has taken the place of the file is not followed, and a pipe is not waited for. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * The file may not be used. It may be there, and may be readable: a reference to it is a mistake of the inventory. Its
 * `cause`, if it has one, says more, and is for the log of the worker alone.
 */
export class SecretRefused extends MusterError {}

/** What a file is called in error texts, and what it is for. */
export type FileNeed = {
  readonly name: string
  readonly use: Use
  /** Whether nobody else may read it. `content` is absent where it was not read. */
  readonly isPrivate: (path: string, content?: Buffer) => boolean
}

/**
 * The content of the file.
 * @throws {SecretRefused} it lies elsewhere, or others can change it or, if private, read it
 * @throws {unknown} the error of the file system when it cannot be read
 */
export async function readConfined(path: string, directories: SecretDirectories, need: FileNeed): Promise<Buffer> {
  return await withConfined(path, directories, need, readRegular)
}

/** Why the file would be refused, without reading it; undefined when it would not be, or cannot be opened now. */
export async function refusalOf(
  path: string,
  directories: SecretDirectories,
  need: FileNeed,
): Promise<string | undefined> {
  try {
    return await withConfined(path, directories, need, async () => undefined)
  } catch (error) {
    return error instanceof SecretRefused ? error.message : undefined
  }
}

/**
 * The content of an open file.
 * @throws {Error} it is a directory, a pipe or a device, or bigger than any secret
 */
export async function readRegular(handle: FileHandle): Promise<Buffer> {
  const fault = formFault(await handle.stat())
  if (fault !== undefined) throw new Error(fault)
  return await handle.readFile({ signal: AbortSignal.timeout(READ_TIMEOUT_MS) })
}

async function withConfined<T extends Buffer | undefined>(
  path: string,
  directories: SecretDirectories,
  need: FileNeed,
  act: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await openAndCheck(path, directories, need, act)
    } catch (error) {
      const isGone = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      if (attempt === ATTEMPTS || !(error instanceof Changed || isGone)) throw error
    }
  }
}

async function openAndCheck<T extends Buffer | undefined>(
  path: string,
  directories: SecretDirectories,
  need: FileNeed,
  act: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  const { way, within } = await place(path, directories, need)
  const handle = await openUnlinked(way.file)
  try {
    if (!(await isAt(handle, way.file))) throw new Changed()
    const stats = await handle.stat()
    const fault = formFault(stats) ?? linkFault(stats)
    if (fault !== undefined) throw refused(path, need, fault)
    const content = await act(handle)
    const checked = { path: way.file, stats, directories: [...way.through, ...within.through] }
    const strict = await strictModesFault(checked, within, need.isPrivate(way.file, content))
    if (strict === undefined) return content
    if (!isHidden(path, way, need)) throw refused(path, need, strict)
    throw refused(path, need, `the owner or mode of what it leads to is not right; ${IN_LOG}`, strict)
  } finally {
    await handle.close()
  }
}

/** Where the file really lies, and in which of the directories. */
async function place(
  path: string,
  directories: SecretDirectories,
  need: FileNeed,
): Promise<{ readonly way: Way; readonly within: SecretDirectory }> {
  const advice = adviceFor(namesOf(directories, need.use), SETTINGS[need.use])
  if (need.use === 'key of a request' && !isForRequests(path, directories)) {
    throw refused(path, need, `it ${OUTSIDE}; ${advice}`)
  }
  const way = await whereItLeads(path)
  if (way === undefined) throw refused(path, need, 'it is a link in a circle')
  const within = directoryOf(way.file, await directoriesFor(directories, need.use))
  if (within !== undefined && within !== 'foreign') return { way, within }
  const fault = within === 'foreign' ? 'is there for other programs' : OUTSIDE
  const where = way.file === path ? 'it' : `it leads to ${shown(way.file)} and`
  if (!isHidden(path, way, need)) throw refused(path, need, `${where} ${fault}; ${advice}`)
  throw refused(path, need, `it is a link that leads elsewhere; ${IN_LOG}`, `${where} ${fault}`)
}

/** Who sends a request is not told where links of the worker lead, nor what is there. */
function isHidden(path: string, way: Way, { use }: FileNeed): boolean {
  return use === 'key of a request' && way.file !== path
}

/** @param log what the log of the worker says instead */
function refused(path: string, { name }: FileNeed, why: string, log?: string): SecretRefused {
  const text = (said: string) => `the ${name} ${path} is not used: ${said}`
  return new SecretRefused('invalid_config', text(why), log === undefined ? {} : { cause: new Error(text(log)) })
}

function adviceFor(names: readonly string[], setting: string): string {
  const move = names.length === 0 ? '' : `move it into one of ${names.join(', ')}, or `
  return `${move}name its directory in ${setting}`
}

async function openUnlinked(file: string): Promise<FileHandle> {
  try {
    return await open(file, FLAGS)
  } catch (error) {
    const isLink = error instanceof Error && 'code' in error && error.code === 'ELOOP'
    throw isLink ? new Changed() : error
  }
}

/** Whether the open file has this path. Linux knows; elsewhere the path is followed again. */
async function isAt(handle: FileHandle, file: string): Promise<boolean> {
  const path = await readlink(`/proc/self/fd/${handle.fd}`).catch(() => undefined)
  if (path !== undefined) return path === file
  const [own, found, again] = await Promise.all([handle.stat(), stat(file), whereItLeads(file)])
  return again?.file === file && own.ino === found.ino && own.dev === found.dev
}

function formFault(stats: Stats): string | undefined {
  if (!stats.isFile()) return 'it is not a regular file'
  return stats.size > LIMIT_BYTES ? `it has ${stats.size} bytes, more than a secret can have` : undefined
}

/** It may be another program's credential under a second name. */
function linkFault({ nlink }: Stats): string | undefined {
  return nlink > 1 ? 'it has a second name (a hard link); give it a copy of its own' : undefined
}
