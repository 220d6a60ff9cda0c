/** The source files of the workspace, and what each of them imports. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A file by its path from the root of the workspace. */
export type SourceFile = { readonly path: string; readonly text: string }

/** All files below these directories that git knows or would add, with one of these endings. */
export function readFiles(directories: readonly string[], endings: readonly string[]): SourceFile[] {
  return execFileSync('git', ['ls-files', '-co', '--exclude-standard', ...directories], { encoding: 'utf8' })
    .split('\n')
    .filter((path) => endings.some((ending) => path.endsWith(ending)) && existsSync(path))
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }))
}

const SPECIFIER = new RegExp(
  [/^\s*(?:import|export)\b[^'"]*?from\s+/, /\bimport\(\s*/, /^\s*import\s+/]
    .map(({ source }) => `${source}['"]([^'"]+)['"]`)
    .join('|'),
  'gm',
)

/**
 * What a file imports or exports from elsewhere, as it is written; types, dynamic imports and side effects included.
 */
export function specifiersOf(text: string): string[] {
  return [...text.matchAll(SPECIFIER)].map(([, fromClause, dynamic, bare]) => fromClause ?? dynamic ?? bare ?? '')
}

/** The files of the workspace that a file imports by a relative path. */
export function importedFiles({ path, text }: SourceFile): string[] {
  return specifiersOf(text)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => join(dirname(path), specifier))
}

/** The packages of the workspace that a file imports, by their names without `@muster/`. */
export function importedPackages({ text }: SourceFile): string[] {
  return specifiersOf(text).flatMap((specifier) => /^@muster\/([^/]+)/.exec(specifier)?.slice(1, 2) ?? [])
}

/** The package that a file belongs to: `libs/ssh`. */
export function packageOf(path: string): string {
  return path.split('/').slice(0, 2).join('/')
}
