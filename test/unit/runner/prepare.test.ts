/** What `npm run demo` and `npm test` do first: they install unless everything is there that builds. */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const PREPARE = 'apps/demo/bin/prepare.mjs'

/** A checkout in which all programs only exist, but npm says that it runs. */
function checkout(): string {
  const root = mkdtempSync(join(tmpdir(), 'muster-clone-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const put = (name: string, text: string) => {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  put(PREPARE, '')
  copyFileSync(PREPARE, join(root, PREPARE))
  put('libs/a/src/a.ts', '')
  put('package.json', '{ "devDependencies": { "@types/node": "1", "typescript": "1" } }')
  put('package-lock.json', '{}')
  for (const name of ['@types/node/index.d.ts', 'typescript/bin/tsc', 'rolldown/bin/cli.mjs', '.package-lock.json'])
    put(`node_modules/${name}`, '')
  put('bin/npm', '#!/bin/sh\necho "npm $1 $2"\n')
  chmodSync(join(root, 'bin/npm'), 0o755)
  return root
}

const prepared = (root: string) =>
  execFileSync(process.execPath, [join(root, PREPARE)], {
    env: { PATH: `${root}/bin:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'ignore'],
  }).toString()

test('nothing is installed where all of it is there', () => {
  expect(prepared(checkout())).toBe('')
})

test.each(['@types', '.package-lock.json'])(
  'what NODE_ENV=production, or an install cut short, has left out is installed: %s',
  (missing) => {
    const root = checkout()
    rmSync(join(root, 'node_modules', missing), { recursive: true })
    expect(prepared(root)).toBe('npm ci --include=dev\n')
  },
)
