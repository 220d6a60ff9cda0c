/** docs/architecture.md can be read in pieces: no section is longer than a screen. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const MAX_WORDS = 150

/** Sections by heading, without drawings and tables, which are read differently. */
function proseOf(markdown: string): Map<string, string> {
  const prose = markdown.replace(/^```.*?^```$/gms, '').replace(/^\|.*$/gm, '')
  const sections = prose.split(/^#+ /m).slice(1)
  return new Map(sections.map((section) => [section.slice(0, section.indexOf('\n')), section]))
}

test(`no section of docs/architecture.md is longer than ${MAX_WORDS} words`, () => {
  const sections = proseOf(readFileSync('docs/architecture.md', 'utf8'))
  expect(sections.size).toBeGreaterThan(20)
  const long = [...sections].map(([title, text]) => [title, text.split(/\s+/).length] as const)
  expect(long.filter(([, words]) => words > MAX_WORDS)).toEqual([])
})
