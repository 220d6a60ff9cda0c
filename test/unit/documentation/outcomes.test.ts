/** Every row of docs/outcomes.md names a test, and that test is there. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROW = /^\| .+ \| .+ \| ([\w-]+): (.+) \|$/

const files = new Map(
  readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => [path.replace(/^.*\/|\.test\.ts$/g, ''), readFileSync(join('test', path), 'utf8')]),
)

test('every row of docs/outcomes.md names a test that is there', () => {
  const lines = readFileSync('docs/outcomes.md', 'utf8').split('\n')
  const rows = lines.filter((line) => line.startsWith('| ') && !line.startsWith('| what happens'))
  expect(rows.length).toBeGreaterThan(40)
  const missing = rows.filter((row) => {
    const [, file = '', title = ''] = ROW.exec(row) ?? []
    return !(files.get(file) ?? '').includes(title)
  })
  expect(missing).toEqual([])
})

test('no section of docs/outcomes.md has two rows for the same event', () => {
  const sections = readFileSync('docs/outcomes.md', 'utf8').split(/^## /m)
  const twice = sections.flatMap((section) => {
    const events = [...section.matchAll(/^\| (.+?) \|/gm)].map(([, event]) => event)
    return events.filter((event, i) => events.indexOf(event) !== i)
  })
  expect(twice).toEqual([])
})
