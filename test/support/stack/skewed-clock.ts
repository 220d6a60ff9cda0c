/**
 * Wrong dates: a process of a test is told another time of day than it is, by libfaketime. Its monotonic clock stays
 * right, as on a machine whose date is wrong.
 */
import { accessSync, constants, existsSync, readdirSync, rmSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Where libfaketime keeps shared memory for each process; it starts none without. */
const SHARED_MEMORY = '/dev/shm'

/** The library that Debian's `faketime` package brings; undefined on a machine that lacks it, or shared memory. */
export const FAKETIME = findFaketime()

/** What a process needs in its environment to be wrong by so many seconds; 0: nothing. */
export function wrongBy(seconds: number): Record<string, string> {
  return seconds === 0 ? {} : { ...preload(), FAKETIME: offsetText(seconds) }
}

/** A clock that is set while its process runs. It begins so many seconds ahead of the right time. */
export async function clockToSet(seconds: number) {
  const directory = await mkdtemp(join(tmpdir(), 'muster-clock-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const file = join(directory, 'offset')
  const setTo = (ahead: number) => writeFile(file, `${offsetText(ahead)}\n`)
  await setTo(seconds)
  return { env: { ...preload(), FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' }, setTo }
}

/** Removes what libfaketime has left in shared memory for processes that were killed. */
export function removeSharedMemory(): void {
  for (const name of readdirSync(SHARED_MEMORY)) {
    const [, pid] = /^(?:sem\.)?faketime_(?:shm|sem)_(\d+)$/.exec(name) ?? []
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(SHARED_MEMORY, name), { force: true })
  }
}

function findFaketime(): string | undefined {
  try {
    accessSync(SHARED_MEMORY, constants.W_OK)
    const files = readdirSync('/usr/lib').map((name) => join('/usr/lib', name, 'faketime/libfaketimeMT.so.1'))
    return files.find((file) => existsSync(file))
  } catch {
    return undefined
  }
}

function preload(): Record<string, string> {
  if (FAKETIME === undefined) throw new Error('libfaketime is not installed')
  onTestFinished(removeSharedMemory)
  // With the allocator of the C library: jemalloc, which Redis is built with, asks for the time before libfaketime is
  // ready.
  return { LD_PRELOAD: `${FAKETIME}:libc.so.6`, FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' }
}

function offsetText(seconds: number): string {
  return seconds < 0 ? String(seconds) : `+${seconds}`
}
