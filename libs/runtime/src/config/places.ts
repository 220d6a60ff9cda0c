/**
 * Where Muster's files are: one directory of settings and one of state, of the user or of the system, whatever the
 * working directory is.
 */
import { stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { MusterError } from '@muster/contract'
import type { Environment } from './config.ts'

const SYSTEM_CONFIG = '/etc/muster'
/** Where the system keeps state. */
export const SYSTEM_STATE = '/var/lib/muster'

/** The directories. All paths are absolute. */
export type Places = {
  readonly home: string
  readonly configDir: string
  /** The data directory unless MUSTER_DATA_DIR names another one. */
  readonly stateDir: string
  /** Where a person keeps the servers that they have logged in to. */
  readonly userStateDir: string
}

/**
 * The directories for this environment: MUSTER_CONFIG_DIR, else the user's if it exists, else the system's if it
 * exists, else the user's. State is kept beside the settings: the system's with the system's.
 * @throws {MusterError} `invalid_config` when MUSTER_CONFIG_DIR is relative or no directory
 */
export async function findPlaces(env: Environment): Promise<Places> {
  const home = homeOf(env)
  const userConfig = join(baseDir(env.XDG_CONFIG_HOME) ?? join(home, '.config'), 'muster')
  const userStateDir = join(baseDir(env.XDG_STATE_HOME) ?? join(home, '.local/state'), 'muster')
  const given = env.MUSTER_CONFIG_DIR
  if (given) return { home, configDir: await namedDirectory(given), stateDir: userStateDir, userStateDir }
  const isSystem = !(await isDirectory(userConfig)) && (await isDirectory(SYSTEM_CONFIG))
  if (isSystem) return { home, configDir: SYSTEM_CONFIG, stateDir: SYSTEM_STATE, userStateDir }
  return { home, configDir: userConfig, stateDir: userStateDir, userStateDir }
}

/** The home directory: never a relative one, which would be a place in the working directory. */
function homeOf(env: Environment): string {
  if (env.HOME !== undefined && isAbsolute(env.HOME)) return env.HOME
  try {
    const { homedir } = userInfo()
    return isAbsolute(homedir) ? homedir : '/'
  } catch {
    // A container may run as a user that the system does not know.
    return '/'
  }
}

/** The XDG specification says that relative paths are to be ignored. */
function baseDir(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined
}

async function namedDirectory(path: string): Promise<string> {
  const received = `MUSTER_CONFIG_DIR: received ${JSON.stringify(path)}`
  if (!isAbsolute(path)) {
    const advice = 'give an absolute path, so that it is the same wherever Muster is started.'
    throw new MusterError('invalid_config', `${received}; ${advice}`)
  }
  if (await isDirectory(path)) return path
  throw new MusterError('invalid_config', `${received}, which is no directory; make it, or unset the variable.`)
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}
