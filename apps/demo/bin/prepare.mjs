/**
 * Makes a fresh clone ready to run: installs what package-lock.json names, unless that was done, and builds.
 *
 * Plain JavaScript without dependencies, because it runs before there are any. Quick when there is nothing to do.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The oldest Node that every dependency supports; the same as `engines` in package.json. */
const NODE_MIN = [20, 19]

/** Building these builds every library too. */
const APPS = ['apps/server', 'apps/worker', 'apps/cli', 'apps/demo']

/** The sources of a package, and their folders: one of those changes when a file is removed. */
const SOURCE = /^\w+[\\/]\w+[\\/]src\b/

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')

refuseOldNode()
if (!isInstalled()) {
  console.error('Installing the dependencies (npm ci) …')
  run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'])
}
// The product only: tests are checked by `npm run check`.
run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', ...APPS])
if (!isBundled()) {
  // Without its list of files.
  run(process.execPath, [join(root, 'node_modules/rolldown/bin/cli.mjs'), '-c'], ['ignore', 'ignore', 'inherit'])
}

function refuseOldNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return
  console.error(`Muster needs Node ${NODE_MIN.join('.')} or newer; this is ${process.versions.node}.`)
  process.exit(1)
}

/**
 * npm writes node_modules/.package-lock.json at the end of an install; one cut short leaves none. One with
 * NODE_ENV=production leaves out what builds.
 */
function isInstalled() {
  const installedMs = modifiedMs('node_modules/.package-lock.json')
  if (installedMs === undefined || installedMs < (modifiedMs('package-lock.json') ?? 0)) return false
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return Object.keys(devDependencies).every((name) => modifiedMs(`node_modules/${name}`) !== undefined)
}

/** Whether the program of each app is younger than all that it is made of. */
function isBundled() {
  const madeMs = APPS.map((app) => modifiedMs(`${app}/dist/program.js`) ?? 0)
  const files = ['libs', 'apps'].flatMap((floor) =>
    readdirSync(join(root, floor), { recursive: true }).map((name) => `${floor}/${name}`),
  )
  const sources = [
    'rolldown.config.ts',
    'node_modules/.package-lock.json',
    ...files.filter((path) => SOURCE.test(path)),
  ]
  const fromMs = sources.map((path) => modifiedMs(path) ?? 0)
  return Math.min(...madeMs) > Math.max(...fromMs)
}

function modifiedMs(path) {
  return statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs
}

function run(command, args, stdio = 'inherit') {
  // npm is a script of the shell on Windows.
  const shell = process.platform === 'win32' && command === 'npm'
  const { status, error } = spawnSync(command, args, { cwd: root, stdio, shell })
  if (status === 0) return
  console.error(
    error === undefined ? `${command} ${args[0]} ended with status ${status}.` : `${command}: ${error.message}`,
  )
  process.exit(1)
}
