/**
 * The official programs: the conformance suite and the Inspector's CLI, in a package of their own beside this file, as
 * neither starts on the Node that Muster runs on. They talk to addresses on this machine and to nobody else.
 */
import { type ExecFileException, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Closers } from '@muster/runtime'
import { z } from 'zod'

/** Where their package.json is. */
const DIRECTORY = resolve('test/conformance/official')
const MODULES = join(DIRECTORY, 'node_modules')

const SCRIPTS = {
  conformance: join(MODULES, '@modelcontextprotocol/conformance/dist/index.js'),
  inspector: join(MODULES, '@modelcontextprotocol/inspector/clients/launcher/build/index.js'),
} as const

/** The package with their own Node for this kind of machine. */
const NODE_PACKAGE = `node-${process.platform}-${process.arch}`

/** No single call takes longer; one that does hangs. */
const TIMEOUT_MS = 180_000
const INSTALL_TIMEOUT_MS = 300_000
/** What the two say in `engines`. */
const OLDEST_NODE = { major: 22, minor: 19 }

const Manifest = z.object({
  version: z.string().optional(),
  dependencies: z.record(z.string(), z.string()).default({}),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
})

/** How a call ended. */
export type Finished = { readonly status: number; readonly out: string; readonly err: string }

/** The official programs, installed. */
export type Official = {
  /** The folder of the conformance suite: its requirements are files there. */
  readonly suiteDirectory: string
  /** An empty directory, removed at the end. */
  readonly scratch: string
  /** Runs one of them to its end. A status other than 0 is an answer, not an error. */
  run(program: keyof typeof SCRIPTS, args: readonly string[]): Promise<Finished>
}

/** Installs what is missing (the one step that needs a network) and answers how to run them. */
export async function prepareOfficial(options: {
  env: NodeJS.ProcessEnv
  closers: Closers
  say: (line: string) => void
}): Promise<Official> {
  if (!(await isInstalled())) {
    options.say('installing the conformance suite and the Inspector')
    await install(options.env)
  }
  const node = await findNode()
  const scratch = await mkdtemp(join(tmpdir(), 'muster-conformance-'))
  options.closers.add('scratch directory', () => rm(scratch, { recursive: true, force: true }))
  // The Inspector keeps files in the home directory; this one is nobody's.
  const env = { PATH: options.env.PATH, HOME: scratch, NO_COLOR: '1' }
  return {
    suiteDirectory: join(MODULES, '@modelcontextprotocol/conformance'),
    scratch,
    run: (program, args) => run(node, [SCRIPTS[program], ...args], env),
  }
}

async function readManifest(directory: string): Promise<z.infer<typeof Manifest>> {
  return Manifest.parse(JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')))
}

async function isInstalled(): Promise<boolean> {
  const { dependencies, optionalDependencies } = await readManifest(DIRECTORY)
  // Of the optional packages, which are a Node for each kind of machine, only one can be installed here.
  const ownNode = Object.entries(optionalDependencies).filter(([name]) => name === NODE_PACKAGE)
  const found = [...Object.entries(dependencies), ...ownNode].map(
    async ([name, version]) => (await readManifest(join(MODULES, name))).version === version,
  )
  return await Promise.all(found).then(
    (each) => each.every(Boolean),
    () => false, // There is none.
  )
}

async function install(env: NodeJS.ProcessEnv): Promise<void> {
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error']
  const signal = AbortSignal.timeout(INSTALL_TIMEOUT_MS)
  const child = spawn('npm', args, { cwd: DIRECTORY, env, stdio: ['ignore', 'ignore', 'inherit'], signal })
  const [status] = await once(child, 'exit')
  if (status !== 0) throw new Error(`npm ci in ${DIRECTORY} ended with status ${String(status)}`)
}

/** Their own Node; ours where it is new enough and there is none for this kind of machine. */
async function findNode(): Promise<string> {
  const own = join(MODULES, NODE_PACKAGE, 'bin/node')
  const isThere = await access(own).then(
    () => true,
    () => false,
  )
  if (isThere) return own
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > OLDEST_NODE.major || (major === OLDEST_NODE.major && minor >= OLDEST_NODE.minor)) return process.execPath
  const wanted = `${OLDEST_NODE.major}.${OLDEST_NODE.minor}`
  throw new Error(
    `the conformance suite needs Node ${wanted} or newer: there is none at ${own}, and this is ${process.version}; ` +
      `remove ${MODULES} to install it again, or run with a newer Node`,
  )
}

async function run(node: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Finished> {
  return await new Promise((done, fail) => {
    const options = { env, timeout: TIMEOUT_MS, maxBuffer: 2 ** 26 }
    execFile(node, args, options, (error: ExecFileException | null, out, err) => {
      if (error === null) done({ status: 0, out, err })
      else if (typeof error.code === 'number') done({ status: error.code, out, err })
      else fail(new Error(`${args.join(' ')} did not end by itself: ${error.message}`, { cause: error }))
    })
  })
}
