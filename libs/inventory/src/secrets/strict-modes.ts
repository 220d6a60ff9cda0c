/**
 * Whether a secret file belongs to whom it should, and who else can read or change it: what OpenSSH asks of private
 * keys and, by StrictModes, of the directories that lead to a file.
 *
 * `isReadOnly`, `textOf` and `withParents` are in `trusted-file.ts` of libs/runtime, too: this package imports
 * libs/contract alone, and that reads no files.
 *
 * Looks at real paths, so no directory here is a link. Who could exchange one for a link would have to be able to write
 * to the one above it, and that is refused.
 */
import { constants, type Stats } from 'node:fs'
import { access, lstat, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isGroupOfOneUser } from '@muster/contract'
import { type SecretDirectory, shown } from './secret-directories.ts'

const ROOT = 0

/** The bits of a mode; chmod(2). */
const MODE = { sticky: 0o1000, groupWrites: 0o020, othersWrite: 0o002, othersRead: 0o004, notOwner: 0o077 } as const

/** What leads to a file is not what it was a moment ago. */
export class Changed extends Error {
  override readonly message = 'it was replaced while it was read'
}

/** A file as it was opened. `directories` are real ones that lead to it, beside those of `path` itself. */
export type OpenedFile = {
  readonly path: string
  readonly stats: Stats
  readonly directories: readonly string[]
}

/**
 * What is wrong with the owner or mode of a file or of what leads to it, with the command that mends it. Nothing, on
 * systems without owners.
 * @throws {Changed} a directory has become something else
 */
export async function strictModesFault(
  { path, stats, directories }: OpenedFile,
  within: SecretDirectory,
  isPrivate: boolean,
): Promise<string | undefined> {
  const uid = process.geteuid?.()
  if (uid === undefined) return undefined
  const owners = await trustedOwners(within, uid)
  const readers = isPrivate && within.trust === 'own' ? readFault(path, stats, uid) : undefined
  const fault = ownerFault(path, stats, owners) ?? readers ?? (await writeFault(path, stats, within))
  if (fault !== undefined) return fault
  for (const directory of new Set([dirname(path), ...directories].flatMap(withParents))) {
    const found = await lstat(directory)
    if (!found.isDirectory()) throw new Changed()
    const inDirectory = ownerFault(directory, found, owners) ?? (await directoryFault(directory, found, within))
    if (inDirectory !== undefined) return inDirectory
  }
  return undefined
}

/**
 * What is wrong with who can read a private file: nobody but its owner may. Root's file may be readable by a group,
 * that of a worker without root's rights; no other needs to be.
 */
export function readFault(path: string, { mode, uid: owner }: Stats, uid: number): string | undefined {
  const isOfGroup = owner === ROOT && uid !== ROOT
  const tooMuch = isOfGroup ? MODE.othersRead | MODE.othersWrite : MODE.notOwner
  if ((mode & tooMuch) === 0) return undefined
  const octal = (mode & 0o777).toString(8).padStart(4, '0')
  return `others can read it (mode ${octal}): chmod ${isOfGroup ? '640' : '600'} ${shown(path)}`
}

/** Who may own the file and what leads to it; undefined for anybody: `docker compose` keeps the owners of its host. */
async function trustedOwners(within: SecretDirectory, uid: number): Promise<ReadonlySet<number> | undefined> {
  if (within.trust === 'mounted') return undefined
  // Who names a directory trusts its owner.
  return new Set(within.trust === 'own' ? [uid, ROOT] : [uid, ROOT, (await lstat(within.path)).uid])
}

function ownerFault(path: string, { uid }: Stats, owners: ReadonlySet<number> | undefined): string | undefined {
  if (owners === undefined || owners.has(uid)) return undefined
  const [own] = owners
  return `${shown(path)} belongs to user ${uid}, not to the worker's user or root: chown ${own} ${shown(path)}`
}

async function writeFault(path: string, { mode }: Stats, { trust }: SecretDirectory): Promise<string | undefined> {
  const bits = trust === 'own' ? MODE.groupWrites | MODE.othersWrite : MODE.othersWrite
  if ((mode & bits) === 0 || (await isReadOnly(path))) return undefined
  return `others can change it: chmod ${trust === 'own' ? 'go-w' : 'o-w'} ${shown(path)}`
}

/** What is mounted read-only cannot be changed, whatever its mode says. */
async function isReadOnly(path: string): Promise<boolean> {
  return await access(path, constants.W_OK).then(
    () => false,
    (error: unknown) => error instanceof Error && 'code' in error && error.code === 'EROFS',
  )
}

/** In a directory with the sticky bit, only the owners of files can exchange them. */
async function directoryFault(path: string, stats: Stats, { trust }: SecretDirectory): Promise<string | undefined> {
  const isSticky = (stats.mode & MODE.sticky) !== 0
  const text = (bits: string) => `others can change the directory ${shown(path)}: chmod ${bits} ${shown(path)}`
  if (isSticky || (stats.mode & (MODE.othersWrite | MODE.groupWrites)) === 0 || (await isReadOnly(path)))
    return undefined
  if ((stats.mode & MODE.othersWrite) !== 0) return text(trust === 'own' ? 'go-w' : 'o-w')
  if (trust !== 'own') return undefined
  return (await isGroupOfOwnerAlone(stats)) ? undefined : text('g-w')
}

async function isGroupOfOwnerAlone(owner: Stats): Promise<boolean> {
  const [passwd, group] = await Promise.all(['/etc/passwd', '/etc/group'].map(textOf))
  return isGroupOfOneUser(owner, { passwd: passwd ?? '', group: group ?? '' })
}

async function textOf(file: string): Promise<string> {
  return await readFile(file, 'utf8').catch(() => '')
}

function withParents(directory: string): string[] {
  const parent = dirname(directory)
  return parent === directory ? [directory] : [...withParents(parent), directory]
}
