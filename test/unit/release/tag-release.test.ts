/** `npm run tag` in a temporary repository of two packages. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createOpenApi } from '../../../apps/server/src/rest/openapi.ts'

const SCRIPT = resolve('scripts/tag-release.mjs')
const CHANGELOG = `# Changelog

## [Unreleased]

## [1.2.0] - 2026-01-02

### Added

- Something new.

## [1.1.0] - 2026-01-01

- Something old.
`

let repository = ''

function git(...args: string[]): string {
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false']
  return execFileSync('git', [...identity, ...args], { cwd: repository, encoding: 'utf8' })
}

function write(path: string, content: string | object): void {
  writeFileSync(join(repository, path), typeof content === 'string' ? content : JSON.stringify(content))
}

function writePackages(version: string): void {
  const cli = { version, dependencies: { '@muster/contract': version, zod: '4.0.0' } }
  write('package.json', { version })
  write('apps/cli/package.json', cli)
  write('libs/contract/package.json', { version })
  write('package-lock.json', { version, packages: { 'apps/cli': cli, 'libs/contract': { version } } })
}

function commitAll(): void {
  git('add', '--all')
  git('commit', '--quiet', '--message=A change')
}

function tagRelease() {
  const env = { ...process.env, GIT_COMMITTER_NAME: 'Test', GIT_COMMITTER_EMAIL: 'test@example.com' }
  return spawnSync(process.execPath, [SCRIPT], { cwd: repository, encoding: 'utf8', env })
}

beforeEach(() => {
  repository = mkdtempSync(join(tmpdir(), 'muster-tag-'))
  git('init', '--quiet')
  mkdirSync(join(repository, 'apps/cli'), { recursive: true })
  mkdirSync(join(repository, 'libs/contract'), { recursive: true })
  writePackages('1.2.0')
  write('CHANGELOG.md', CHANGELOG)
  commitAll()
})

afterEach(() => rmSync(repository, { recursive: true, force: true }))

describe('npm run tag', () => {
  test('makes an annotated tag with the section of that version', () => {
    expect(tagRelease()).toMatchObject({
      status: 0,
      stdout: 'Tagged v1.2.0. Publish it with: git push origin v1.2.0\n',
    })
    expect(git('cat-file', '-t', 'v1.2.0')).toBe('tag\n')
    expect(git('tag', '--list', '--format=%(contents)', 'v1.2.0')).toBe(
      'Muster 1.2.0\n\n### Added\n\n- Something new.\n\n',
    )
  })

  test('refuses a tree with a file that is not committed', () => {
    write('notes.txt', 'unfinished')
    expect(tagRelease().stderr).toContain('the tree is not clean')
    expect(git('tag', '--list')).toBe('')
  })

  test('refuses a version that the changelog does not have', () => {
    writePackages('1.3.0')
    commitAll()
    expect(tagRelease().stderr).toContain('CHANGELOG.md has no section [1.3.0]')
  })

  test('refuses while lines stand under Unreleased', () => {
    write('CHANGELOG.md', CHANGELOG.replace('## [Unreleased]\n', '## [Unreleased]\n\n- Forgotten.\n'))
    commitAll()
    expect(tagRelease().stderr).toContain('still has lines under Unreleased')
  })

  test('names every package and every dependency with another version at once', () => {
    write('apps/cli/package.json', { version: '1.1.0', dependencies: { '@muster/contract': '1.1.0' } })
    commitAll()
    const { status, stderr } = tagRelease()
    expect(status).toBe(1)
    expect(stderr).toContain('apps/cli/package.json says 1.1.0, and package.json 1.2.0')
    expect(stderr).toContain('apps/cli/package.json asks for @muster/contract 1.1.0')
  })

  test('refuses a tag that is there', () => {
    tagRelease()
    expect(tagRelease().stderr).toContain('the tag v1.2.0 is there already')
  })
})

test('the server answers with the version of its package', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  expect(createOpenApi()).toMatchObject({ info: { version } })
})
