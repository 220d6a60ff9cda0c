/**
 * Files of keys are written whole or not at all, and by one process at a time. The lock is a file beside the keys. One
 * that was left behind is not taken over, because its process may be in another container.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MusterError, shellWord } from '@muster/contract'

/** Who holds the lock writes two small files. */
const WAIT_MS = 3_000
const LOOK_MS = 20

/**
 * Writes a file, with its permissions, so that a reader finds the old one or the new one.
 * @throws {MusterError} invalid_config when it cannot be written
 */
export async function writeWhole(file: string, content: object, mode: number): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  try {
    await writeFile(draft, `${JSON.stringify(content, null, 2)}\n`, { mode, flag: 'wx', flush: true })
    await rename(draft, file)
  } catch (error) {
    throw notWritten(file, error)
  } finally {
    await rm(draft, { force: true })
  }
}

/**
 * Does something while no other process changes the file, whose directory is made if it is missing.
 * @throws {MusterError} invalid_config when another process holds the lock for 3 s, or no file can be written there
 */
export async function whileLocked<T>(file: string, act: () => Promise<T>): Promise<T> {
  const lock = `${file}.lock`
  await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw notWritten(file, error)
  })
  const untilMs = performance.now() + WAIT_MS
  while (!(await take(lock))) {
    if (performance.now() > untilMs) {
      const advice = `if none is, remove the lock: rm ${shellWord(lock)}`
      throw new MusterError('invalid_config', `${file} is being changed by another process; ${advice}`)
    }
    await sleep(LOOK_MS)
  }
  try {
    return await act()
  } finally {
    await rm(lock, { force: true })
  }
}

/** False when another process has it. */
async function take(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, `${process.pid}\n`, { mode: 0o600, flag: 'wx' })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw notWritten(lock, error)
  }
}

function notWritten(file: string, error: unknown): MusterError {
  const why = error instanceof Error ? error.message : String(error)
  return new MusterError('invalid_config', `${file} cannot be written: ${why}`, { cause: error })
}
