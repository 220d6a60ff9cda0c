import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'
import { InterleavedSequencer } from './test/support/runner/interleaved.ts'
import { takeOwnEnvironment } from './test/support/runner/own-environment.ts'
import { summaryPlugin } from './test/support/runner/summary-reporter.ts'
import { WAITING } from './test/support/runner/waiting-files.ts'

takeOwnEnvironment()

/** A thousand commands on all cores, with a limit of their own: nothing else runs beside them. */
const CHAOS = 'test/chaos/chaos.test.ts'

const NOT_OURS = ['**/node_modules/**', CHAOS]

/** The fast lane, `npm run test:fast`: what neither waits nor starts a whole Muster. */
const FAST = [
  'test/*.test.ts',
  'test/unit/**/*.test.ts',
  'test/chaos/**/*.test.ts',
  'test/conformance/*.test.ts',
  'test/integration/{access,ledger}/*.test.ts',
]

const isFastLane = /--project[ =]fast\b/.test(process.argv.join(' '))

/** What a package exports, and the sources that each of it is built from. */
function sourcesOf(home: string): Array<{ find: RegExp; replacement: string }> {
  const { name, exports = {} } = JSON.parse(readFileSync(resolve(home, 'package.json'), 'utf8'))
  return Object.keys(exports).map((path) => ({
    find: new RegExp(`^${name}${path.slice(1)}$`),
    replacement: resolve(home, exports[path].default.replace(/(dist|build)\//, 'src/').replace(/\.js$/, '.ts')),
  }))
}

const packages = ['libs', 'apps'].flatMap((floor) => readdirSync(floor).map((name) => `${floor}/${name}`))

const plugins = [summaryPlugin()]
// A test that imports a file by its path shares one instance with those that import its package.
const alias = packages.flatMap(sourcesOf)

/** Waiting files need no core while they wait. */
const MOST_AT_ONCE = 5

function project(test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration {
  return {
    plugins,
    resolve: { alias },
    test: {
      setupFiles: ['test/support/runner/leak-check.ts'],
      testTimeout: 30_000,
      hookTimeout: 60_000,
      pool: 'forks',
      // A process loads its modules once for all its files: they keep nothing in them, as leak-check.ts sees.
      isolate: false,
      maxWorkers: MOST_AT_ONCE,
      // Many tests race real processes on two busy cores. One that needs a second try is shown with "retry x1".
      retry: process.env.CI ? 1 : 0,
      ...test,
    },
  }
}

export default defineConfig({
  plugins,
  resolve: { alias },
  test: {
    // A redis-server for each process of the runner and one sshd for all, on free loopback ports.
    globalSetup: ['test/support/runtime/redis-setup.ts', 'test/support/ssh/sshd-setup.ts'],
    maxWorkers: MOST_AT_ONCE,
    sequence: { sequencer: InterleavedSequencer },
    // One project for all but chaos: a process of the runner goes on to a next file only of its own project, and to load
    // everything again costs more than most files.
    projects: [
      isFastLane
        ? project({ name: 'fast', include: FAST, exclude: [...NOT_OURS, ...Object.keys(WAITING)] })
        : project({ name: 'all', include: ['test/**/*.test.ts'], exclude: NOT_OURS }),
      project({ name: 'chaos', include: [CHAOS], sequence: { groupOrder: 1 } }),
    ],
  },
})
