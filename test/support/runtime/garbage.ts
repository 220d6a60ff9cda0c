/** The garbage of the test's own process, collected now. */
import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects all of it: what has a finalizer is free only when that has run, in a later turn. */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect !== 'function') throw new Error('there is no gc')
  for (let turn = 0; turn < 4; turn += 1) {
    collect()
    await pause(50)
  }
}
