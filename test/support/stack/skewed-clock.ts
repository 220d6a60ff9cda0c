/**
 * Wrong dates: a process of a test is told another time of day than it is, by libfaketime. Its monotonic clock stays
 * right, as on a machine whose date is wrong.
 */
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** The library that Debian's `faketime` package brings; undefined on a machine that lacks it. */
export const FAKETIME = readdirSync('/usr/lib')
  .map((name) => join('/usr/lib', name, 'faketime/libfaketimeMT.so.1'))
  .find((file) => existsSync(file))

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

function preload(): Record<string, string> {
  if (FAKETIME === undefined) throw new Error('libfaketime is not installed')
  // With the allocator of the C library: jemalloc, which Redis is built with, asks for the time before libfaketime is
  // ready.
  return { LD_PRELOAD: `${FAKETIME}:libc.so.6`, FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' }
}

function offsetText(seconds: number): string {
  return seconds < 0 ? String(seconds) : `+${seconds}`
}
