/**
 * What child processes get of our environment: a list of what they may need, never all of it. Variables that load code
 * into a program (NODE_OPTIONS, LD_PRELOAD …) and those that may hold somebody's secret are not on it.
 */
import type { Environment } from './config.ts'

const PLAIN: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'TZ',
  'TMPDIR',
  'LANG',
  'LANGUAGE',
  // Certificates of a company's own authority, for rediss://.
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
])
const PLAIN_FAMILY = /^(LC_|XDG_)/

/** Docker and package managers have settings and proxies of their own. */
const OF_TOOLS = /^(DOCKER_|HOMEBREW_)|^(https?|no|all)_proxy$/i

/** The variables that any program may have. */
export function plainEnvironment(env: Environment): Environment {
  return picked(env, (name) => PLAIN.has(name) || PLAIN_FAMILY.test(name))
}

/** The variables for Docker and the system's package manager. */
export function toolEnvironment(env: Environment): Environment {
  return picked(env, (name) => PLAIN.has(name) || PLAIN_FAMILY.test(name) || OF_TOOLS.test(name))
}

/** The variables whose names are wanted. */
export function picked(env: Environment, isWanted: (name: string) => boolean): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => isWanted(name)))
}
