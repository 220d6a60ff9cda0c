/**
 * What a run of tests takes over from the person who starts it, so that it passes on their machine whatever is set
 * there: a list of variables, never all of them. NODE_OPTIONS, MUSTER_*, REDIS_URL, SSH_AUTH_SOCK, LD_PRELOAD and GIT_*
 * are among those that end here.
 *
 * Called first of all by everything that starts tests. It does not hide the home directory: npm and Docker need it.
 */

/** What programs are found and installed by, and what says how much to test. */
const KEPT: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'CI',
  'MUSTER_TEST_ALL',
  'MUSTER_TEST_RUNS',
])
/** Set by Vitest for its own processes; and what package managers and Docker are reached by. */
const KEPT_FAMILY = /^(VITEST|TEST$|npm_config_|DOCKER_|HOMEBREW_)|^(https?|all)_proxy$/i

const LOOPBACK = '127.0.0.1,localhost,::1'

/** One language, one time zone, no settings of git. TMPDIR is not here: sockets and other users need a short /tmp. */
const PINNED: Readonly<Record<string, string>> = {
  LANG: 'C.UTF-8',
  TZ: 'UTC',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  no_proxy: LOOPBACK,
  NO_PROXY: LOOPBACK,
}

/** Makes the environment and the umask of this process, and so of all that it starts, those of a test run. */
export function takeOwnEnvironment(): void {
  // Files that others can write to are refused, and some systems make files for a group by default.
  process.umask(0o022)
  for (const name of Object.keys(process.env)) {
    if (!KEPT.has(name) && !KEPT_FAMILY.test(name)) delete process.env[name]
  }
  Object.assign(process.env, PINNED)
}
