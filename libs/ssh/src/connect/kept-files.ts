/**
 * What was read from some files, kept for as long as they have not changed: a run that begins after a change sees the
 * change, and a thousand runs do not read the same key a thousand times. Does not say what is in the files.
 */
import { stat } from 'node:fs/promises'

/** Within so short a time of a change there may be another that looks the same: some disks tell time in steps of 2 s. */
const UNSURE_MS = 2_000

/**
 * A function that gives what `read` made of these files as they are now, or as they became since. It reads again when
 * one has changed, and as long as they are so new that a change could go unseen; a rejection is not kept.
 *
 * Who asks while others do shares their look, if it has not begun yet: one that has may be older than the question.
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
    if (next !== undefined) return next
    const asked = last.then(look)
    last = asked.catch(() => {})
    next = asked
    return asked
  }
}

/** A file as it is now. Not the time of its content, which whoever copies a file may set as they like. */
async function lookAt(file: string): Promise<{ readonly version: string; readonly changedMs: number }> {
  try {
    const { ctimeMs, size, ino, dev } = await stat(file)
    return { version: `${ctimeMs} ${size} ${ino} ${dev}`, changedMs: ctimeMs }
  } catch {
    // Whoever reads it says why. That it can be read again is a change too.
    return { version: 'unreadable', changedMs: 0 }
  }
}
