/** Files and folders that the documents name are there, so that a move of code takes its documents along. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { expect, test } from 'vitest'

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'REVIEW.md',
  'docs/architecture.md',
  'docs/testing.md',
  'docs/outcomes.md',
]
/** In code style: a path from the root, or the bare name of a source file. */
const PATH = /^(apps|libs|test|docs|examples|scripts)\/[\w./-]+$/
const SOURCE_FILE = /^[\w-]+\.(ts|lua)$/

const sources = new Set(
  execFileSync('git', ['ls-files', '--', '*.ts', '*.lua'], { encoding: 'utf8' })
    .split('\n')
    .map((path) => basename(path)),
)

function missingIn(page: string): string[] {
  // NAME stands for the reader's own.
  const quoted = [...readFileSync(page, 'utf8').matchAll(/`([^`\n]+)`/g)].flatMap(([, text = '']) =>
    text.split(' ').filter((word) => !word.includes('NAME')),
  )
  return quoted
    .filter((text) => (PATH.test(text) && !existsSync(text)) || (SOURCE_FILE.test(text) && !sources.has(text)))
    .map((text) => `${page}: ${text}`)
}

test('every file and folder that a document names is there', () => {
  expect(PAGES.flatMap(missingIn)).toEqual([])
})
