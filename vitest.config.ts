import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { defineConfig } from 'vitest/config'
import { summaryPlugin } from './test/support/runner/summary-reporter.ts'

/** A thousand commands on all cores, with a limit of their own: nothing else runs beside them. */
const CHAOS = 'test/chaos/chaos.test.ts'

/** What a package exports, and the sources that each of it is built from. */
function sourcesOf(home: string): Array<{ find: RegExp; replacement: string }> {
  const { name, exports = {} } = JSON.parse(readFileSync(resolve(home, 'package.json'), 'utf8'))
  return Object.keys(exports).map((path) => ({
    find: new RegExp(`^${name}${path.slice(1)}$`),
    replacement: resolve(home, exports[path].default.replace('dist/', 'src/').replace(/\.js$/, '.ts')),
  }))
}

const packages = ['libs', 'apps'].flatMap((floor) => readdirSync(floor).map((name) => `${floor}/${name}`))

export default defineConfig({
  plugins: [summaryPlugin()],
  // A test that imports a file by its path shares one instance with those that import its package.
  resolve: { alias: packages.flatMap(sourcesOf) },
  test: {
    // Both start lazily: one redis-server and one sshd for the whole run, on free loopback ports.
    globalSetup: ['test/support/runtime/redis-setup.ts', 'test/support/ssh/sshd-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Many tests race real processes on two busy cores. One that needs a second try is shown with "retry x1".
    retry: process.env.CI ? 1 : 0,
    // Many tests wait for leases and clocks to run out, and need no core for it.
    maxWorkers: 3,
    projects: [
      {
        extends: true,
        test: { name: 'tests', include: ['test/**/*.test.ts'], exclude: ['**/node_modules/**', CHAOS] },
      },
      { extends: true, test: { name: 'chaos', include: [CHAOS], sequence: { groupOrder: 1 } } },
    ],
  },
})
