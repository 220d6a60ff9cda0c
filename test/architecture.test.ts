/**
 * The rules of docs/architecture.md, derived from the source: which package may import what, where the environment is
 * read, how files are named and how long they may be. Each rule is also shown a planted violation.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { describe, expect, test } from 'vitest'

type SourceFile = { path: string; text: string }
type Rule = (file: SourceFile) => string[]

/** Workspace packages that each package may import. The arrow goes one way: apps, libs, contract. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  'libs/contract': [],
  'libs/runtime': ['contract'],
  'libs/inventory': ['contract'],
  'libs/ledger': ['contract'],
  'libs/ssh': ['contract'],
  'libs/access': ['contract', 'ledger'],
  'apps/server': ['contract', 'inventory', 'ledger', 'access', 'runtime'],
  'apps/worker': ['contract', 'inventory', 'ledger', 'ssh', 'runtime'],
  'apps/cli': ['contract', 'runtime'],
  'apps/demo': ['contract', 'runtime'],
}

/** Third-party modules with one home. */
const ONLY_IN: Record<string, readonly string[]> = {
  bullmq: ['libs/ledger'],
  ioredis: ['libs/ledger'],
  // The demo's hosts are SSH servers of its own.
  ssh2: ['libs/ssh', 'apps/demo'],
  fastify: ['apps/server'],
  '@modelcontextprotocol/sdk': ['apps/server'],
  yaml: ['libs/inventory'],
  pino: ['libs/runtime'],
}

const BANNED_NAMES = /^(utils?|helpers?|types|common|misc|constants|manager|shared|lib)(-|\.|$)/

const packageOf = (path: string) => path.split('/').slice(0, 2).join('/')

function importsOf(text: string): string[] {
  const found = text.matchAll(/^\s*(?:import|export)\b[^'"]*?from\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm)
  return [...found].map(([, fromClause, dynamic]) => fromClause ?? dynamic ?? '')
}

const importRule: Rule = ({ path, text }) =>
  importsOf(text).flatMap((specifier) => {
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

const environmentRule: Rule = ({ path, text }) =>
  basename(path) !== 'main.ts' && /process\.(env|exit)\b|(?<!\w)console\.\w/.test(withoutComments(text))
    ? [`${path} uses process.env, process.exit or console; only a main.ts may`]
    : []

const nameRule: Rule = ({ path }) => {
  const name = basename(path)
  if (BANNED_NAMES.test(name)) return [`${path} is named by kind, not by what it holds`]
  return /^[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(name) ? [] : [`${path} is not kebab-case`]
}

const sizeRule: Rule = ({ path, text }) => {
  const lines = text.split('\n').length - 1
  return lines > 400 ? [`${path} has ${lines} lines; 400 is the end`] : []
}

const typeRule: Rule = ({ path, text }) => {
  const code = withoutComments(text)
  const found: string[] = []
  if (/:\s*any\b|<any>|\bas any\b/.test(code)) found.push('any')
  if (/(?<![\w'"`./-])as (?!const\b)[A-Z{(]\w*/.test(withoutImports(code))) found.push('as')
  if (/^export default/m.test(code)) found.push('a default export')
  if (/^(export )?(const )?enum /m.test(code)) found.push('enum')
  if (/@ts-(ignore|expect-error|nocheck)|biome-ignore/.test(text)) found.push('a suppression')
  return found.map((what) => `${path} has ${what}`)
}

const headerRule: Rule = ({ path, text }) =>
  basename(path) === 'index.ts' || text.startsWith('/**') ? [] : [`${path} does not begin by saying what it does`]

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
}

function withoutImports(code: string): string {
  return code.replace(/^(import|export) [^;]*?from .*$/gms, (statement) => statement.replace(/ as /g, ' '))
}

const RULES = { importRule, environmentRule, nameRule, sizeRule, typeRule, headerRule }

const sources: SourceFile[] = execFileSync('git', ['ls-files', '-co', '--exclude-standard', 'apps', 'libs'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path.endsWith('.ts') && path.includes('/src/') && existsSync(path))
  .map((path) => ({ path, text: readFileSync(path, 'utf8') }))

describe('the source keeps the rules of the house', () => {
  test.each(Object.entries(RULES))('%s', (_name, rule) => {
    expect(sources.length).toBeGreaterThan(30)
    expect(sources.flatMap(rule)).toEqual([])
  })

  test('packages declare what they import, and their project references agree', () => {
    for (const [home, allowed] of Object.entries(MAY_IMPORT)) {
      const manifest = readFileSync(`${home}/package.json`, 'utf8')
      const references = readFileSync(`${home}/tsconfig.json`, 'utf8')
      const declared = [...manifest.matchAll(/"@muster\/(\w+)": "/g)].map(([, name]) => name)
      const referenced = [...references.matchAll(/"path": "\.\.\/(?:\.\.\/libs\/)?(\w+)"/g)].map(([, name]) => name)
      expect([home, declared.filter((name) => !allowed.includes(name ?? ''))]).toEqual([home, []])
      expect([home, referenced.toSorted()]).toEqual([home, declared.toSorted()])
    }
  })

  test('no package imports in a circle', () => {
    const visit = (name: string, trail: readonly string[]): void => {
      if (trail.includes(name)) throw new Error([...trail, name].join(' -> '))
      for (const next of MAY_IMPORT[`libs/${name}`] ?? []) visit(next, [...trail, name])
    }
    for (const path of Object.keys(MAY_IMPORT)) visit(path.split('/')[1] ?? '', [])
  })

  test('the tree has a folder for each package in the rules, and no other', () => {
    const folders = new Set(sources.map(({ path }) => packageOf(path)))
    expect([...folders].toSorted()).toEqual(Object.keys(MAY_IMPORT).toSorted())
  })
})

describe('a planted violation is found', () => {
  const planted: Array<[keyof typeof RULES, string, string]> = [
    ['importRule', 'apps/server/src/x.ts', "import { exec } from '@muster/ssh'"],
    ['importRule', 'apps/cli/src/x.ts', "import { Queue } from 'bullmq'"],
    ['importRule', 'libs/ledger/src/x.ts', "import { a } from '@muster/inventory'"],
    ['importRule', 'apps/worker/src/x.ts', "import { a } from '@muster/ledger/dist/claim.js'"],
    ['importRule', 'libs/contract/src/x.ts', "export {\n  a,\n} from '@muster/runtime'"],
    ['environmentRule', 'libs/ssh/src/x.ts', 'const home = process.env.HOME'],
    ['nameRule', 'libs/ssh/src/utils.ts', ''],
    ['nameRule', 'libs/ssh/src/KnownHosts.ts', ''],
    ['sizeRule', 'libs/ssh/src/x.ts', '\n'.repeat(402)],
    ['typeRule', 'libs/ssh/src/x.ts', 'const a: any = 1'],
    ['typeRule', 'libs/ssh/src/x.ts', 'const a = b as Foo'],
    ['typeRule', 'libs/ssh/src/x.ts', 'export default 1'],
    ['headerRule', 'libs/ssh/src/x.ts', 'export const a = 1'],
  ]
  test.each(planted)('%s finds it in %s', (rule, path, text) => {
    expect(RULES[rule]({ path, text })).toHaveLength(1)
  })

  test('what is allowed is let through', () => {
    const path = `${dirname('apps/worker/src/x')}/x.ts`
    const text = "import { type A as B, c } from '@muster/ssh'\n/** say `x as Y` */\nconst d = [1] as const\n"
    expect([...importRule({ path, text }), ...typeRule({ path, text })]).toEqual([])
  })
})
