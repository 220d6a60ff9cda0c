/**
 * Programs that a developer's machine may lack: other shells, other SSH servers. A test that needs one is skipped there
 * and says so by its title; `.ci/run` installs them all and sets MUSTER_TEST_ALL=1, which makes a skipped test a
 * failure.
 */
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

const DIRS = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'].filter((dir) =>
  dir.startsWith('/'),
)

/** Where a program is; undefined on a machine that lacks it. */
export function findProgram(name: string): string | undefined {
  return DIRS.map((dir) => join(dir, name)).find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
