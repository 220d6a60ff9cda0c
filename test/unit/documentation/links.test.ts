/** Links between the documents lead to a file, and to a heading of it. Links to the web are not followed. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const pages = ['.', 'docs', 'docs/decisions', 'examples'].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .map((name) => normalize(join(folder, name))),
)

/** The text of a page, without what is quoted in it. */
function textOf(page: string): string {
  return readFileSync(page, 'utf8').replace(/^```.*?^```$/gms, '')
}

/** The name by which GitHub links to a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}

function hasHeading(page: string, anchor: string): boolean {
  return [...textOf(page).matchAll(/^#+ (.+)$/gm)].some(([, heading = '']) => anchorOf(heading) === anchor)
}

/** The links of a page that lead nowhere. */
function brokenLinks(page: string): string[] {
  const links = [...textOf(page).matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g)]
  return links.flatMap(([link, path = '', anchor = '']) => {
    const target = path === '' ? page : normalize(join(dirname(page), path))
    if (!existsSync(target)) return [`${page}: ${link}: there is no ${target}`]
    return anchor === '' || hasHeading(target, anchor) ? [] : [`${page}: ${link}: ${target} has no such heading`]
  })
}

test('every link between the documents leads to a file and a heading', () => {
  expect(pages).toContain('docs/decisions/at-most-once.md')
  expect(pages.flatMap(brokenLinks)).toEqual([])
})
