/** The settings in which `muster mcp` and its stack differ from `muster up`, unless configured. */
import type { Environment } from '@muster/runtime'

const DEFAULTS = {
  // Any free port: clients find the server by its file.
  MUSTER_PORT: '0',
  MUSTER_WORKER_PROCESSES: '1',
  LOG_LEVEL: 'warn',
} as const

/** The environment, completed with these defaults. */
export function withMcpDefaults(env: Environment): Environment {
  const missing = Object.entries(DEFAULTS).filter(([name]) => !env[name] && !env[`${name}_FILE`])
  return { ...env, ...Object.fromEntries(missing) }
}
