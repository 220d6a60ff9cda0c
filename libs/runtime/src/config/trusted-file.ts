/**
 * Files whose word is taken. Such a file belongs to the user of this process or to root, and nobody else can write to
 * it, nor to the directories that lead to it. What is checked is what is read: the file that was opened. A group whose
 * only member is the owner is nobody else, as in OpenSSH on Debian: there, umask 002 makes everything writable by it.
 *
 * Links are followed, because secrets and settings are often mounted as links; the file they lead to is checked.
 */
import { constants, type Stats } from 'node:fs'
import { access, type FileHandle, open, readFile, realpath, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { isGroupOfOneUser, MusterError, shellWord } from '@muster/contract'
import { SYSTEM_STATE } from './places.ts'

/** Settings, inventories and addresses are small; a bigger file was named by mistake. */
const LIMIT_BYTES = 64 * 1024 * 1024

/** A file that takes longer to read is on a dead network disk. */
const READ_TIMEOUT_MS = 10_000

const OTHERS_MAY_WRITE = 0o022
const GROUP_MAY_WRITE = 0o020
const GROUP_MAY_READ = 0o040
const OTHERS_MAY_READ = 0o004
const STICKY = 0o1000

/** Whose files are read. */
export type TrustOptions = {
  /** The user whose files count. Default: the user of this process. */
  readonly uid?: number | undefined
  /** Another user whose files count. */
  readonly owner?: number
  /** Whether files of root count too. Default true. */
  readonly trustsRoot?: boolean
  /**
   * Whether it is state that a server wrote, not settings. Then the owner of the system's data directory counts, too,
   * and the directory may be open to a group, as mounted volumes are. Default false.
   */
  readonly isState?: boolean
  /** Whether links are followed. Default true. */
  readonly followsLinks?: boolean
  /**
   * Whether nobody else may read the file. Its group may read a file of root, as with secrets that Kubernetes mounts
   * for an ordinary user. Default false.
   */
  readonly isSecret?: boolean
}

/**
 * The text of the file; undefined when there is no such file.
 * @throws {MusterError} `invalid_config` when it is not to be trusted or cannot be read, with what was found and the
 *   command that corrects it
 */
export async function readTrustedFile(path: string, given: TrustOptions = {}): Promise<string | undefined> {
  const named = resolve(path)
  let handle: FileHandle | undefined
  try {
    const options = await ofState(given, named)
    const real = options.followsLinks === false ? named : await realpath(named)
    const leading = [dirname(named), dirname(real)].flatMap(withParents)
    for (const directory of new Set(leading)) await checkDirectory(directory, path, options)
    // Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
    handle = await open(real, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    const found = await handle.stat()
    if (!found.isFile()) throw refused(path, 'it is not a regular file')
    if (found.size > LIMIT_BYTES) throw refused(path, `it has ${found.size} bytes; the limit is ${LIMIT_BYTES}`)
    checkOwner(found, { path, subject: 'it', target: real }, options)
    if (await isOpen(found, OTHERS_MAY_WRITE)) throw openToOthers(found, { path, subject: 'it', target: real })
    const mayNotRead = found.uid === 0 ? OTHERS_MAY_READ : OTHERS_MAY_READ | GROUP_MAY_READ
    if (options.isSecret === true && (found.mode & mayNotRead) !== 0) {
      throw refused(path, `others can read it (mode ${modeOf(found)}). Correct it: chmod 0400 ${shellWord(real)}`)
    }
    return await handle.readFile({ encoding: 'utf8', signal: AbortSignal.timeout(READ_TIMEOUT_MS) })
  } catch (error) {
    if (error instanceof MusterError) throw error
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (code === 'ELOOP') throw refused(path, 'it is a link')
    throw refused(path, String(code ?? error), error)
  } finally {
    await handle?.close()
  }
}

/** Root alone can make the system's data directory, so root has chosen its owner. */
async function ofState(options: TrustOptions, path: string): Promise<TrustOptions> {
  if (options.isState !== true || dirname(path) !== SYSTEM_STATE) return options
  return { ...options, owner: (await stat(SYSTEM_STATE)).uid }
}

/** What is at fault: the file that was asked for, how the sentence begins, and what the command corrects. */
type Fault = { readonly path: string; readonly subject: string; readonly target: string }

async function checkDirectory(directory: string, path: string, options: TrustOptions): Promise<void> {
  const fault: Fault = { path, subject: `its directory ${directory}`, target: directory }
  const found = await stat(directory)
  checkOwner(found, fault, options)
  // In a sticky directory such as /tmp nobody can replace the file of another user.
  const forbidden = options.isState === true ? 0o002 : OTHERS_MAY_WRITE
  if ((found.mode & STICKY) !== 0 || !(await isOpen(found, forbidden))) return
  if (!(await isReadOnly(directory))) throw openToOthers(found, fault)
}

/** Whether somebody beside the owner may write: one of these bits is set, and not only for the owner's own group. */
async function isOpen(found: Stats, bits: number): Promise<boolean> {
  const open = found.mode & bits
  if (open !== GROUP_MAY_WRITE) return open !== 0
  const [passwd, group] = await Promise.all(['/etc/passwd', '/etc/group'].map(textOf))
  return !isGroupOfOneUser(found, { passwd: passwd ?? '', group: group ?? '' })
}

/** Without the tables every group has others in it. */
async function textOf(file: string): Promise<string> {
  return await readFile(file, 'utf8').catch(() => '')
}

function withParents(directory: string): string[] {
  const parent = dirname(directory)
  return parent === directory ? [directory] : [...withParents(parent), directory]
}

/** Volumes of Kubernetes are open to all by their mode, but mounted read-only. */
async function isReadOnly(directory: string): Promise<boolean> {
  return await access(directory, constants.W_OK).then(
    () => false,
    (error: unknown) => error instanceof Error && 'code' in error && error.code === 'EROFS',
  )
}

function checkOwner(found: Stats, { path, subject, target }: Fault, options: TrustOptions): void {
  const uid = options.uid ?? process.getuid?.()
  // Windows has no such owners.
  if (
    uid === undefined ||
    found.uid === uid ||
    found.uid === options.owner ||
    (found.uid === 0 && options.trustsRoot !== false)
  )
    return
  const advice = `If you trust what is in it: chown ${uid} ${shellWord(target)}`
  const owners = uid === 0 ? 'root' : options.trustsRoot === false ? `you (${uid})` : `you (${uid}) or root`
  throw refused(path, `${subject} belongs to user ${found.uid}, not to ${owners}. ${advice}`)
}

function openToOthers(found: Stats, { path, subject, target }: Fault): MusterError {
  const advice = `If you trust what is in it: chmod go-w ${shellWord(target)}`
  return refused(path, `others can write to ${subject === 'it' ? 'it' : subject} (mode ${modeOf(found)}). ${advice}`)
}

function modeOf({ mode }: Stats): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}

function refused(path: string, why: string, cause?: unknown): MusterError {
  return new MusterError('invalid_config', `${path} is not read: ${why}`, { cause })
}
