/** Nothing that a person has set reaches a test: a run of its own, started with what people set. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const OF_A_TEST = 'the environment of a test is that of all tests'

test(OF_A_TEST, () => {
  const { TMPDIR = '', ...env } = process.env
  expect(env).toMatchObject({ TZ: 'UTC', LANG: 'C.UTF-8', GIT_CONFIG_GLOBAL: '/dev/null' })
  const ofPeople =
    /^(NODE_OPTIONS|LC_|LANGUAGE|XDG_|SSH_|GIT_(?!CONFIG_)|REDIS|LOG_LEVEL|LD_|BASH_ENV|MUSTER_(?!TEST_ALL))/
  expect(Object.keys(env).filter((name) => ofPeople.test(name))).toEqual([])
  expect(new Date(0).getTimezoneOffset()).toBe(0)
  expect(process.umask()).toBe(0o022)
  // A socket below it has a path of 100 bytes at most.
  expect(TMPDIR.length).toBeLessThan(40)
})

test('whatever a person has set, the tests pass', { timeout: 120_000 }, async () => {
  const home = mkdtempSync(join(tmpdir(), 'muster-person-'))
  onTestFinished(() => rmSync(home, { recursive: true }))
  writeFileSync(join(home, 'loaded.cjs'), 'process.env.LD_LIBRARY_PATH = "/nowhere"')
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', 'test/unit/runner/own-environment.test.ts']
  const words = [process.execPath, ...vitest, `--testNamePattern=^${OF_A_TEST}$`]
  const child = spawn('sh', ['-c', 'umask 077; exec "$@"', 'sh', ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      HOME: home,
      TMPDIR: join(home, 'a'.repeat(100)),
      NODE_OPTIONS: `--require ${join(home, 'loaded.cjs')}`,
      NODE_ENV: 'production',
      LANG: 'tr_TR.UTF-8',
      LC_ALL: 'de_DE.UTF-8',
      TZ: 'Asia/Kathmandu',
      FORCE_COLOR: '3',
      MUSTER_URL: 'http://127.0.0.1:1',
      MUSTER_API_KEY: 'mst_of_a_person',
      MUSTER_CONFIG_DIR: '/nowhere',
      REDIS_URL: 'redis://127.0.0.1:1',
      SSH_SERVERS: 'web1:10.0.0.1:root:secret',
      SSH_AUTH_SOCK: '/nowhere/agent',
      LOG_LEVEL: 'trace',
      HTTP_PROXY: 'http://127.0.0.1:1',
      GIT_DIR: '/nowhere',
      XDG_CONFIG_HOME: '/nowhere',
    },
  })
  const [out] = await Promise.all([child.stdout.toArray(), once(child, 'close')])
  expect(Buffer.concat(out).toString()).toMatch(/\n1 passed, 0 failed/)
  expect(child.exitCode).toBe(0)
})
