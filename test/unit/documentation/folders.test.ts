/** Pages that list the folders of packages list those that there are, in their order. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { FOLDER_ORDER } from '../../support/architecture/tree-rules.ts'

/** The folders of `src` of each package that has any, without those below them. */
const FOLDERS = Object.entries(FOLDER_ORDER)
  .map(([home, folders]) => [home, folders.filter((folder) => !folder.includes('/'))] as const)
  .filter(([, folders]) => folders.length > 0)

const ARCHITECTURE = readFileSync('docs/architecture.md', 'utf8')
const CONTRIBUTING = readFileSync('CONTRIBUTING.md', 'utf8')

test.each(FOLDERS)('the drawing of docs/architecture.md lists the folders of %s', (home, folders) => {
  const line = ARCHITECTURE.split('\n').find((text) => text.startsWith(`  ${home.split('/')[1]} `))
  expect(line?.split(/ {2,}/).at(-1)).toBe(folders.join(' '))
})

test.each(FOLDERS)('the table of CONTRIBUTING.md lists the folders of %s', (home, folders) => {
  const row = CONTRIBUTING.split('\n').find((text) => text.startsWith(`| \`${home}\` | `))
  // Folders below a folder stand in brackets, and after ";" is something else.
  const cell =
    row
      ?.split('|')
      .at(-2)
      ?.replace(/\(.*\)|;.*/g, '') ?? ''
  const listed = [...cell.matchAll(/`([\w-]+)`/g)].map(([, folder]) => folder)
  expect(listed).toEqual(folders)
})
