/**
 * Where `muster mcp` keeps its files unless configured. Desktop clients start it in odd directories and with few
 * variables, so the working directory counts only if a Muster has used it before.
 */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Environment } from '@muster/runtime'

/** The environment, completed with the defaults in which `muster mcp` and its stack differ from `muster up`. */
export async function withMcpDefaults(
  env: Environment,
  directories: { cwd: string; home: string },
): Promise<Environment> {
  const home = env.HOME || directories.home
  const inCwdOrHome = async (name: string) => {
    const local = join(directories.cwd, name)
    return (await exists(local)) ? local : undefined
  }
  const defaults = {
    HOME: home,
    MUSTER_DATA_DIR: (await inCwdOrHome('.muster')) ?? join(home, '.muster'),
    MUSTER_INVENTORY: (await inCwdOrHome('inventory.yaml')) ?? join(home, '.muster', 'inventory.yaml'),
    // Any free port: clients find the server by its file.
    MUSTER_PORT: '0',
    MUSTER_WORKER_PROCESSES: '1',
    LOG_LEVEL: 'warn',
  }
  const missing = Object.entries(defaults).filter(([name]) => !env[name] && !env[`${name}_FILE`])
  return { ...env, ...Object.fromEntries(missing) }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
