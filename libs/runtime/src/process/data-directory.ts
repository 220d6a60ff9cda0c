/** The directory in which a process keeps its state, made for its owner alone. */
import { constants } from 'node:fs'
import { access, mkdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { MusterError } from '@muster/contract'

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EEXIST: 'a file is in its place',
  ENOTDIR: 'a file is in its place',
  EROFS: 'the file system is read-only',
}

/**
 * Makes the directory, and those above it, if they are missing.
 * @throws {MusterError} `invalid_config` when this user cannot keep files there
 */
export async function makeDataDirectory(dataDir: string): Promise<void> {
  try {
    await make(resolve(dataDir))
    // A file has no entries: the dot after it makes that an error.
    await access(`${resolve(dataDir)}/.`, constants.W_OK | constants.X_OK)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    const why = `no directory for data: ${WHY[code] ?? code}`
    const advice = 'name a directory that this user can write to, or one that can be made'
    const message = `MUSTER_DATA_DIR: received ${JSON.stringify(dataDir)}, which is ${why}; ${advice}`
    throw new MusterError('invalid_config', message, { cause: error })
  }
}

/** Not by Node's `recursive`, which never ends where a file system such as /proc says that a new entry is not there. */
async function make(directory: string): Promise<void> {
  const isMade = await makeOne(directory)
  if (isMade) return
  await make(dirname(directory))
  await mkdir(directory, { mode: 0o700 })
}

/** False when a directory above it is missing. */
async function makeOne(directory: string): Promise<boolean> {
  try {
    await mkdir(directory, { mode: 0o700 })
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EEXIST') return true
    if (code === 'ENOENT' && dirname(directory) !== directory) return false
    throw error
  }
}
