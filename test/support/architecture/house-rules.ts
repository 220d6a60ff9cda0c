/** Rules for one source file: what it may import, where the environment is read, how it is named and written. */
import { basename } from 'node:path'
import { packageOf, type SourceFile, specifiersOf } from './source-files.ts'

/** Says what a file does wrong, one sentence for each violation. */
export type FileRule = (file: SourceFile) => string[]

/** Workspace packages that each package may import. The arrow goes one way: apps, libs, contract. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'libs/contract': [],
  'libs/runtime': ['contract'],
  'libs/inventory': ['contract'],
  'libs/ledger': ['contract'],
  'libs/ssh': ['contract'],
  'libs/access': ['contract', 'ledger'],
  'libs/trust': ['contract', 'runtime'],
  'apps/server': ['contract', 'inventory', 'ledger', 'access', 'trust', 'runtime'],
  'apps/worker': ['contract', 'inventory', 'ledger', 'ssh', 'trust', 'runtime'],
  'apps/cli': ['contract', 'trust', 'runtime'],
  'apps/demo': ['contract', 'runtime'],
}

/** The packages that may import a third-party module. */
const ONLY_IN: Readonly<Record<string, readonly string[]>> = {
  bullmq: ['libs/ledger'],
  ioredis: ['libs/ledger'],
  // The demo's hosts are SSH servers of its own.
  ssh2: ['libs/ssh', 'apps/demo'],
  fastify: ['apps/server'],
  '@modelcontextprotocol/sdk': ['apps/server'],
  '@modelcontextprotocol/server': ['apps/server'],
  '@modelcontextprotocol/client': ['apps/cli'],
  jose: ['libs/trust'],
  yaml: ['libs/inventory'],
  pino: ['libs/runtime'],
}

const BANNED_NAMES = /^(utils?|helpers?|types|common|misc|constants|manager|shared|lib)(-|\.|$)/

const LONGEST_FILE = 400
const WIDEST_LINE = 120

/** Packages import only what stands below them, by its public face. */
export const importRule: FileRule = ({ path, text }) =>
  specifiersOf(text).flatMap((specifier) => {
    const home = packageOf(path)
    const [, own, deeper] = /^@muster\/([^/]+)(\/.*)?$/.exec(specifier) ?? []
    if (own !== undefined) {
      if (!MAY_IMPORT[home]?.includes(own)) return [`${path} imports ${specifier}`]
      if (deeper !== undefined) return [`${path} reaches into ${specifier}`]
    }
    if (specifier.startsWith('.') && !specifier.endsWith('.ts')) return [`${path} imports ${specifier} without .ts`]
    const module = specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : specifier.split('/')[0]
    const homes = ONLY_IN[module ?? '']
    return homes !== undefined && !homes.includes(home) ? [`${path} imports ${specifier}`] : []
  })

/** Only an entry point touches the process that it is. */
export const environmentRule: FileRule = ({ path, text }) =>
  basename(path) !== 'main.ts' && /process\.(env|exit)\b|(?<!\w)console\.\w/.test(withoutComments(text))
    ? [`${path} uses process.env, process.exit or console; only a main.ts may`]
    : []

/** Files are named by what they hold. */
export const nameRule: FileRule = ({ path }) => {
  const name = basename(path)
  if (BANNED_NAMES.test(name)) return [`${path} is named by kind, not by what it holds`]
  return /^[a-z0-9]+(-[a-z0-9]+)*\.(ts|lua)$/.test(name) ? [] : [`${path} is not kebab-case`]
}

/** Files are short. */
export const sizeRule: FileRule = ({ path, text }) => {
  const length = text.split('\n').length - 1
  return length > LONGEST_FILE ? [`${path} has ${length} lines; ${LONGEST_FILE} is the end`] : []
}

/** Lines fit a screen. */
export const widthRule: FileRule = ({ path, text }) =>
  text
    .split('\n')
    .flatMap((line, index) =>
      [...line].length > WIDEST_LINE ? [`${path}:${index + 1} is wider than ${WIDEST_LINE} columns`] : [],
    )

/** Code says what it means: nothing is written so that the formatter lays it out in another way. */
export const plainRule: FileRule = ({ path, text }) => {
  const bent = /^(\s*)\.\.\.(?:\{ .*\}|\[[^\]]*\]|\{\n[\s\S]*?\n\1\}|\[\n[\s\S]*?\n\1\]),?$|\.slice\(0\)|'\.slice\(0, /m
  return bent.test(text) ? [`${path} spreads a literal, or cuts what needs no cut`] : []
}

/** Types are real types, and nothing is suppressed. */
export const typeRule: FileRule = ({ path, text }) => {
  const code = withoutComments(text)
  const found: string[] = []
  if (/:\s*any\b|<any>|\bas any\b/.test(code)) found.push('any')
  if (/(?<![\w'"`./-])as (?!const\b)[A-Z{(]\w*/.test(withoutImports(code))) found.push('as')
  if (/^export default/m.test(code)) found.push('a default export')
  if (/^(export )?(const )?enum /m.test(code)) found.push('enum')
  if (/@ts-(ignore|expect-error|nocheck)|biome-ignore/.test(text)) found.push('a suppression')
  return found.map((what) => `${path} has ${what}`)
}

/** A file begins by saying what it does. */
export const headerRule: FileRule = ({ path, text }) =>
  basename(path) === 'index.ts' || text.startsWith('/**') ? [] : [`${path} does not begin by saying what it does`]

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
}

function withoutImports(code: string): string {
  return code.replace(/^(import|export) [^;]*?from .*$/gms, (statement) => statement.replace(/ as /g, ' '))
}
