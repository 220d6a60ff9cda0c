/**
 * Keeps what was read from some files until they change: a run that begins after a change sees it, and a thousand runs
 * do not read the same key a thousand times. Does not interpret the files.
 */
import { stat } from 'node:fs/promises'
import { MusterError } from '@muster/contract'

/** Within this time of a change another one may look the same: some file systems keep time in steps of 2 s. */
const UNSURE_MS = 2_000

/** Files that take longer are on a disk that is not there. */
const LIMIT_MS = 10_000

/**
 * Returns a function that returns what `read` made of these files, as they are at the time of the call or later. It
 * reads again when a file has changed, and while one is so new that a change could go unseen. A rejection is not kept.
 * A call that has no answer after 10 s is rejected; the next ones do not look while the disk has not answered.
 *
 * Calls at the same time share a look at the files that has not begun yet: one that has begun may be older than the
 * call.
 */
export function keepFiles<T>(files: readonly string[], read: () => Promise<T>): () => Promise<T> {
  let kept: { readonly version: string; readonly content: T } | undefined
  let last: Promise<unknown> = Promise.resolve()
  let next: Promise<T> | undefined
  const look = async () => {
    next = undefined
    const looks = await Promise.all(files.map(lookAt))
    const version = looks.map((found) => found.version).join('\n')
    if (kept?.version === version) return kept.content
    kept = undefined
    const content = await read()
    if (looks.every(({ changedMs }) => Math.abs(Date.now() - changedMs) > UNSURE_MS)) kept = { version, content }
    return content
  }
  return () => {
    if (next === undefined) {
      next = last.then(look)
      last = next.catch(() => {})
    }
    return inTime(next, files)
  }
}

async function inTime<T>(asked: Promise<T>, files: readonly string[]): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    const why = `no answer from the disk within ${LIMIT_MS / 1_000} s for ${files.join(', ')}`
    timer = setTimeout(() => reject(new MusterError('invalid_config', why)), LIMIT_MS)
  })
  try {
    return await Promise.race([asked, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A file as it is now, by ctime: whoever copies a file may set its mtime. */
async function lookAt(file: string): Promise<{ readonly version: string; readonly changedMs: number }> {
  try {
    const { ctimeMs, size, ino, dev } = await stat(file)
    return { version: `${ctimeMs} ${size} ${ino} ${dev}`, changedMs: ctimeMs }
  } catch {
    // `read` says why. Becoming readable again is a change too.
    return { version: 'unreadable', changedMs: 0 }
  }
}
