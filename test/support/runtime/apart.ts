/** Keeps processes of tests apart from the Muster of the person who runs them, and from that of the system. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

type Env = Record<string, string | undefined>

/** A directory of settings that sets nothing. */
const NO_SETTINGS = resolve('test/support/runtime/no-settings')

/** The environment with a home and a directory of settings of the test's own; what it names stays. */
export function apart(env: Env): Env {
  const { HOME = '/nonexistent' } = env
  const hasSettings = existsSync(join(HOME, '.config/muster'))
  return { HOME, ...(hasSettings ? {} : { MUSTER_CONFIG_DIR: NO_SETTINGS }), ...env }
}
