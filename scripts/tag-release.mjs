#!/usr/bin/env node
/**
 * `npm run tag`: tags the version of package.json, annotated with its section of CHANGELOG.md.
 *
 * It only makes the tag. It refuses, naming everything that is wrong at once, unless the tree is clean, every package and
 * the lock file agree on the version, and the changelog has a section for it and nothing left under Unreleased.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const git = (args, input) => execFileSync('git', args, { encoding: 'utf8', input }).trim()
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))

/** The text below `## [NAME]`, up to the next version; undefined if there is no such heading. */
function changelogSection(changelog, name) {
  const [, ...sections] = changelog.split(/^## /m)
  const section = sections.find((text) => text.startsWith(`[${name}]`))
  return section?.slice(section.indexOf('\n')).trim()
}

/** Every place that says another version: the packages, what they ask of each other, and the lock file. */
function wrongVersions(version) {
  const lock = readJson('package-lock.json')
  const manifests = ['apps', 'libs']
    .flatMap((folder) => readdirSync(folder).map((name) => `${folder}/${name}`))
    .flatMap((folder) => [
      [`${folder}/package.json`, readJson(join(folder, 'package.json'))],
      [`package-lock.json of ${folder}`, lock.packages[folder] ?? {}],
    ])
  const wrong = lock.version === version ? [] : [`package-lock.json says ${lock.version}`]
  for (const [where, manifest] of manifests) {
    if (manifest.version !== version) wrong.push(`${where} says ${manifest.version}`)
    for (const [name, asked] of Object.entries(manifest.dependencies ?? {})) {
      if (name.startsWith('@muster/') && asked !== version) wrong.push(`${where} asks for ${name} ${asked}`)
    }
  }
  return wrong
}

process.chdir(git(['rev-parse', '--show-toplevel']))
const { version } = readJson('package.json')
const tag = `v${version}`
const changelog = readFileSync('CHANGELOG.md', 'utf8')
const notes = changelogSection(changelog, version)
const unreleased = changelogSection(changelog, 'Unreleased')

const problems = wrongVersions(version).map((wrong) => `${wrong}, and package.json ${version}`)
if (git(['status', '--porcelain']) !== '') problems.push('the tree is not clean: commit first')
if (!notes) problems.push(`CHANGELOG.md has no section [${version}], or an empty one`)
if (unreleased) problems.push(`CHANGELOG.md still has lines under Unreleased: move them to [${version}]`)
if (git(['tag', '--list', tag]) !== '') problems.push(`the tag ${tag} is there already`)

if (problems.length > 0) {
  console.error(`${tag} is not tagged:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
  process.exitCode = 1
} else {
  // By default git takes the headings of the changelog for comments.
  git(['tag', '--annotate', tag, '--cleanup=whitespace', '--file=-'], `Muster ${version}\n\n${notes}\n`)
  console.log(`Tagged ${tag}. Publish it with: git push origin ${tag}`)
}
