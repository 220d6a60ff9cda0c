/**
 * Programs of the operating system: finding them, and installing the package of one that is missing.
 *
 * An installation never starts the package's own service and never asks a question; where it would have to, or is not
 * allowed, nothing is installed. It does not remove or upgrade packages.
 */
import { access, constants } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { MusterError } from '@muster/contract'
import type { Environment } from '../config/config.ts'
import { describeExit, startProcess } from './child-process.ts'

/** Servers are installed here, but the PATH of an ordinary user often lacks these directories. */
const SERVER_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/opt/homebrew/bin', '/usr/local/bin']

const PROBE_TIMEOUT_MS = 5_000
const INSTALL_TIMEOUT_MS = 600_000

/**
 * Installs package $1 and leaves its service $2 off. Without systemd, RUNLEVEL=1 makes invoke-rc.d(8) start nothing.
 * Under systemd deb-systemd-invoke starts only enabled units, so the unit is masked meanwhile, in /run, where a crash
 * leaves no trace beyond the next boot.
 */
const APT_SCRIPT = `
set -e
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
if [ -n "$2" ] && [ -d /run/systemd/system ]; then
  trap 'systemctl --runtime unmask "$2"; systemctl disable "$2" || true' EXIT
  systemctl --runtime mask "$2"
fi
apt-get -q -o DPkg::Lock::Timeout=120 update
apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$1"
`

/** Options of {@link installSystemPackage}. */
export interface SystemPackageOptions {
  /** The Debian package, such as `redis-server`. */
  name: string
  /** The program wanted from the package, such as `redis-server`. */
  binary: string
  /** The service that the package would start, such as `ssh.service`. Absent when it has none. */
  service?: string
  /** The Homebrew formula. Absent when there is none; brew is then not tried. */
  formula?: string
  /** Its PATH is searched; the package manager gets all of it, because of proxies and the like. */
  env: Environment
  /** Whether a missing package may be installed. */
  allowInstall: boolean
  /** Gets a line about what is going to be installed, and how. */
  log: (line: string) => void
}

/**
 * The path of a program: on the PATH of `env` or where servers are installed, never in the working directory.
 * `undefined` when there is none.
 */
export async function findProgram(binary: string, env: Environment): Promise<string | undefined> {
  const directories = (env.PATH ?? '').split(delimiter).filter((directory) => isAbsolute(directory))
  for (const directory of [...directories, ...SERVER_DIRECTORIES]) {
    const path = join(directory, binary)
    try {
      await access(path, constants.X_OK)
      return path
    } catch {
      // Not in this directory.
    }
  }
  return undefined
}

/**
 * The path of the program, its package installed first if it is missing.
 * @throws {MusterError} `invalid_config`, with the command that installs it, when that is not allowed or cannot be done
 *   unattended; `internal`, with the last lines of its output, when the installation fails.
 */
export async function installSystemPackage(options: SystemPackageOptions): Promise<string> {
  const { name, binary, env, log } = options
  const present = await findProgram(binary, env)
  if (present !== undefined) return present

  const way = await installer(options)
  if (!options.allowInstall || !way.isUnattended) {
    throw new MusterError('invalid_config', `There is no ${binary} on this system. Install it: ${way.line}`)
  }
  log(`${binary} is missing; installing it: ${way.line}`)
  const end = await runToEnd({ command: way.command, args: way.args, env, timeoutMs: INSTALL_TIMEOUT_MS })
  const installed = await findProgram(binary, env)
  if (installed !== undefined && end.isOk) return installed
  throw new MusterError('internal', `Installing ${name} failed. By hand: ${way.line}\n${end.text}`)
}

/**
 * Runs a command to its end. `isOk` is false when it fails, cannot be started or takes too long; `text` has its last
 * lines of output.
 */
export async function runToEnd(options: {
  command: string
  args: readonly string[]
  env: Environment
  timeoutMs: number
}): Promise<{ isOk: boolean; text: string }> {
  const { command, args, env, timeoutMs } = options
  try {
    const child = await startProcess({ name: command, command, args, env, ready: 'spawned', diesWithParent: true })
    const timer = setTimeout(() => {
      // stop() never rejects: it waits for the exit, which SIGKILL forces in the end.
      void child.stop()
    }, timeoutMs)
    const exit = await child.exited
    clearTimeout(timer)
    const text = [...child.lastLines(), `${command} ended ${describeExit(exit)}`].map((line) => `  ${line}`).join('\n')
    return { isOk: exit.code === 0, text }
  } catch (error) {
    // A command that cannot be started is an answer: this way is not available.
    return { isOk: false, text: String(error) }
  }
}

interface Installer {
  isUnattended: boolean
  command: string
  args: string[]
  /** The command for a person to type. */
  line: string
}

async function installer({ name, service = '', formula, env }: SystemPackageOptions): Promise<Installer> {
  const aptGet = await findProgram('apt-get', env)
  if (aptGet !== undefined) {
    const script = ['-c', APT_SCRIPT, 'sh', name, service]
    const line = `apt-get install --no-install-recommends ${name}`
    if (process.getuid?.() === 0) return { isUnattended: true, command: '/bin/sh', args: script, line }
    const isUnattended = await canSudo(env)
    return { isUnattended, command: 'sudo', args: ['-n', '/bin/sh', ...script], line: `sudo ${line}` }
  }
  const brew = await findProgram('brew', env)
  if (brew !== undefined && formula !== undefined) {
    return { isUnattended: true, command: brew, args: ['install', '--quiet', formula], line: `brew install ${formula}` }
  }
  const line = `use your system's package manager; the package is called ${name} or similar`
  return { isUnattended: false, command: '', args: [], line }
}

async function canSudo(env: Environment): Promise<boolean> {
  if ((await findProgram('sudo', env)) === undefined) return false
  return (await runToEnd({ command: 'sudo', args: ['-n', 'true'], env, timeoutMs: PROBE_TIMEOUT_MS })).isOk
}
