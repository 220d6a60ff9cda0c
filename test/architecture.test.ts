/**
 * The rules of docs/architecture.md, derived from the source: what may import what, where the environment is read, how
 * files are named and how long they may be, in which order folders stand. Each rule is also shown a planted violation.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import * as house from './support/architecture/house-rules.ts'
import { packageOf, readFiles } from './support/architecture/source-files.ts'
import * as tree from './support/architecture/tree-rules.ts'

const { MAY_IMPORT, ...fileRules } = house
const { FOLDER_ORDER, ...treeRules } = tree

const sources = readFiles(['apps', 'libs'], ['.ts']).filter(({ path }) => path.includes('/src/'))
const scripts = readFiles(['libs'], ['.lua'])
const tests = readFiles(['test'], ['.ts'])

describe('the source keeps the rules of the house', () => {
  test('there are sources to look at', () => {
    expect(sources.length).toBeGreaterThan(200)
    expect(scripts.length).toBeGreaterThan(20)
  })

  test.each(Object.entries(fileRules))('%s', (_name, rule) => {
    expect(sources.flatMap(rule)).toEqual([])
  })

  test.each(Object.entries(treeRules))('%s', (_name, rule) => {
    expect(rule(sources)).toEqual([])
  })

  test('Lua scripts are named as other files, fit a screen, and are not crowded', () => {
    const found = scripts.flatMap((file) => [
      ...house.nameRule(file),
      ...house.sizeRule(file),
      ...house.widthRule(file),
    ])
    expect([...found, ...tree.crowdRule(scripts)]).toEqual([])
  })

  test('tests import in no circle, are not crowded, and are written plainly and within the width', () => {
    const rules = [tree.fileCircleRule, tree.folderCircleRule, tree.crowdRule]
    expect(tests.length).toBeGreaterThan(200)
    const found = tests.flatMap((file) => [...house.plainRule(file), ...house.widthRule(file)])
    expect([...rules.flatMap((rule) => rule(tests)), ...found]).toEqual([])
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

  test('the rules name every package, and no other', () => {
    const packages = [...new Set(sources.map(({ path }) => packageOf(path)))].toSorted()
    expect(Object.keys(MAY_IMPORT).toSorted()).toEqual(packages)
    expect(Object.keys(FOLDER_ORDER).toSorted()).toEqual(packages)
  })
})

describe('a planted violation is found', () => {
  const planted: Array<[keyof typeof fileRules, string, string]> = [
    ['importRule', 'apps/server/src/x.ts', "import { exec } from '@muster/ssh'"],
    ['importRule', 'apps/cli/src/x.ts', "import { Queue } from 'bullmq'"],
    ['importRule', 'apps/cli/src/x.ts', "import 'bullmq'"],
    ['importRule', 'libs/ledger/src/x.ts', "import { a } from '@muster/inventory'"],
    ['importRule', 'libs/ledger/src/x.ts', "type A = import('@muster/inventory').A"],
    ['importRule', 'apps/worker/src/x.ts', "import { a } from '@muster/ledger/dist/claim.js'"],
    ['importRule', 'libs/contract/src/x.ts', "export {\n  a,\n} from '@muster/runtime'"],
    ['environmentRule', 'libs/ssh/src/x.ts', 'const home = process.env.HOME'],
    ['nameRule', 'libs/ssh/src/utils.ts', ''],
    ['nameRule', 'libs/ssh/src/KnownHosts.ts', ''],
    ['nameRule', 'libs/ledger/lua/append_output.lua', ''],
    ['sizeRule', 'libs/ssh/src/x.ts', '\n'.repeat(402)],
    ['widthRule', 'libs/ssh/src/x.ts', `// ${'x'.repeat(118)}`],
    ['plainRule', 'libs/ssh/src/x.ts', 'const a = {\n  ...{ b, c },\n  d,\n}'],
    ['plainRule', 'libs/ssh/src/x.ts', 'const a = [\n  ...[\n    b,\n  ],\n]'],
    ['plainRule', 'libs/ssh/src/x.ts', `const a = [1]${'.'}slice(0)`],
    ['typeRule', 'libs/ssh/src/x.ts', 'const a: any = 1'],
    ['typeRule', 'libs/ssh/src/x.ts', 'const a = b as Foo'],
    ['typeRule', 'libs/ssh/src/x.ts', 'export default 1'],
    ['headerRule', 'libs/ssh/src/x.ts', 'export const a = 1'],
  ]
  test.each(planted)('%s finds it in %s: %j', (rule, path, text) => {
    expect(fileRules[rule]({ path, text })).toHaveLength(1)
  })

  const A = 'libs/ledger/src/redis/a.ts'
  const B = 'libs/ledger/src/redis/b.ts'
  const C = 'libs/ledger/src/steps/c.ts'
  const D = 'libs/ledger/src/steps/d.ts'
  const plantedTrees: Array<[keyof typeof treeRules, string, Record<string, string>]> = [
    ['fileCircleRule', 'of two files', { [A]: "import { b } from './b.ts'", [B]: "import { a } from './a.ts'" }],
    ['fileCircleRule', 'of types', { [A]: "import type { B } from './b.ts'", [B]: "export type { A } from './a.ts'" }],
    ['fileCircleRule', 'of type queries', { [A]: "type B = import('./b.ts').B", [B]: "import { a } from './a.ts'" }],
    [
      'fileCircleRule',
      'of three files',
      { [A]: "import './b.ts'", [B]: "import { c } from '../steps/c.ts'", [C]: "import { a } from '../redis/a.ts'" },
    ],
    ['fileCircleRule', 'of one file', { [A]: "export * from './a.ts'" }],
    [
      'folderCircleRule',
      'though no file is in one',
      { [A]: "import { c } from '../steps/c.ts'", [D]: "import { b } from '../redis/b.ts'" },
    ],
    [
      'folderCircleRule',
      'of a folder and a file beside it',
      { 'apps/cli/src/main.ts': "import './line/a.ts'", 'apps/cli/src/line/b.ts': "import '../main.ts'" },
    ],
    [
      'folderCircleRule',
      'of two packages',
      { [A]: "import { a } from '@muster/access'", 'libs/access/src/b.ts': "import { b } from '@muster/ledger'" },
    ],
    ['folderOrderRule', 'upwards', { [A]: "import type { C } from '../steps/c.ts'" }],
    ['folderOrderRule', 'to the root', { [A]: "import { a } from '../index.ts'" }],
    ['folderOrderRule', 'into another package', { [A]: "import { a } from '../../../access/src/keys.ts'" }],
    ['folderOrderRule', 'in a folder that is not listed', { 'libs/ledger/src/new/a.ts': '' }],
    ['crowdRule', '', Object.fromEntries(Array.from({ length: 23 }, (_, index) => [`libs/ssh/src/a${index}.ts`, '']))],
  ]
  test.each(plantedTrees)('%s finds one %s', (rule, _title, files) => {
    const planted = Object.entries(files).map(([path, text]) => ({ path, text }))
    expect(treeRules[rule](planted)).toHaveLength(1)
  })

  test('listedFolderRule finds folders that are gone', () => {
    expect(tree.listedFolderRule(sources.filter(({ path }) => !path.includes('/steps/')))).toHaveLength(1)
  })

  test('what is allowed is let through', () => {
    const path = 'apps/worker/src/x.ts'
    const text = "import { type A as B, c } from '@muster/ssh'\n/** say `x as Y` */\nconst d = [1] as const\n"
    expect([...house.importRule({ path, text }), ...house.typeRule({ path, text })]).toEqual([])
    const files = [{ path: C, text: "import { a } from '../redis/a.ts'\nimport { d } from './d.ts'" }]
    const rules = [tree.fileCircleRule, tree.folderCircleRule, tree.folderOrderRule, tree.crowdRule]
    expect(rules.flatMap((rule) => rule(files))).toEqual([])
  })
})
