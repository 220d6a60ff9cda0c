/**
 * Target expressions side by side with ClusterShell, whose node sets they follow: on what both know, both must agree on
 * the hosts, and on which expressions are malformed. Needs the package clustershell, and installs it where it is
 * missing.
 *
 * Where the two differ on purpose is in the last test, so that a difference that goes away is noticed.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { foldHosts, MusterError, parseTargets } from '@muster/contract'
import { parseInventory } from '@muster/inventory'
import { installSystemPackage } from '@muster/runtime'
import fc from 'fast-check'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'

const INVENTORY = parseInventory(
  `
hosts:
  "web[01-40]": { address: "10.0.0.[1-40]" }
  "n[1-30]": { address: "10.0.1.[1-30]" }
  "dc[1-3]n[01-12]": { address: "10.0.2.[1-36]" }
  db: { address: 10.0.3.1 }
groups:
  web: "web[01-40]"
  odd: "n[1-30/2],db"
  dc2: "dc2n[01-12]"
`,
  'inventory.yaml',
  { home: '/', user: 'me', credentials: [] },
)

/** One answer for each line read: the names, or null for an expression that is refused. */
const DRIVER = `
import json, sys
from ClusterShell.NodeSet import NodeSet
for line in sys.stdin:
    try:
        print(json.dumps(list(NodeSet(json.loads(line)))))
    except Exception:
        print("null")
`
const Answers = z.array(z.array(z.string()).nullable())
const run = promisify(execFile)
let nodeset = ''

beforeAll(async () => {
  nodeset = await installSystemPackage({
    name: 'clustershell',
    binary: 'nodeset',
    env: process.env,
    allowInstall: true,
    log: (line) => process.stderr.write(`${line}\n`),
  })
}, 600_000)

/** What ClusterShell says of each of the expressions, sorted, with the groups of the inventory as its own. */
async function clusterShell(expressions: readonly string[]): Promise<z.infer<typeof Answers>> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-clustershell-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const groups = [...INVENTORY.groups].map(([name, hosts]) => `${name}: ${foldHosts(hosts)}\n`).join('')
  await writeFile(join(directory, 'local.cfg'), groups)
  const all = foldHosts([...INVENTORY.hosts.keys()])
  const source = `map: sed -n 's/^$GROUP: //p' ${directory}/local.cfg\nall: echo '${all}'\n`
  await writeFile(join(directory, 'groups.conf'), `[Main]\ndefault: local\n[local]\n${source}`)
  // The interpreter that the program itself names: others do not know its library.
  const [, python = 'python3'] = /^#!(\S+)/.exec(await readFile(nodeset, 'utf8')) ?? []
  const child = run(python, ['-c', DRIVER], {
    env: { ...process.env, CLUSTERSHELL_CFGDIR: directory },
    maxBuffer: 1e9,
    timeout: 120_000,
  })
  child.child.stdin?.end(expressions.map((expression) => `${JSON.stringify(expression)}\n`).join(''))
  const { stdout } = await child
  return Answers.parse(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).map((names) => names?.toSorted() ?? null)
}

/** What Muster says: null for an expression that cannot be parsed, or names what is not in the inventory. */
function muster(expression: string): string[] | null {
  try {
    return INVENTORY.resolve(expression).toSorted()
  } catch (error) {
    if (error instanceof MusterError) return null
    throw error
  }
}

const range = (most: number, width: number) =>
  fc
    .tuple(fc.integer({ min: 1, max: most }), fc.integer({ min: 1, max: most }), fc.constantFrom('', '/2', '/3'))
    .map(([a, b, step]) => {
      const write = (n: number) => String(n).padStart(width, '0')
      return a === b ? write(a) : `${write(Math.min(a, b))}-${write(Math.max(a, b))}${step}`
    })
const rangeset = (most: number, width: number) =>
  fc.array(range(most, width), { minLength: 1, maxLength: 3 }).map((ranges) => `[${ranges.join(',')}]`)
const term = fc.oneof(
  rangeset(40, 2).map((numbers) => `web${numbers}`),
  rangeset(30, 0).map((numbers) => `n${numbers}`),
  fc.tuple(rangeset(3, 0), rangeset(12, 2)).map(([dc, n]) => `dc${dc}n${n}`),
  fc.constantFrom('db', 'web07', 'n7', '@web', '@odd', '@dc2', '@*'),
  fc.constantFrom('web0*', 'n?', 'n*', 'dc[1-2]n*', '*', '*1?'),
)
const operator = fc.constantFrom(',', '!', '&', '^', ' ! ', ', ')
const expression = fc
  .tuple(term, fc.array(fc.tuple(operator, term), { maxLength: 5 }))
  .map(([first, rest]) => first + rest.map(([op, next]) => op + next).join(''))

describe('ClusterShell agrees', () => {
  test('on the hosts of expressions with ranges, steps, groups, wildcards and all operators', async () => {
    const expressions = fc.sample(expression, 2_000)
    const answers = await clusterShell(expressions)
    const theirs = expressions.map((text, i) => ({ text, hosts: answers[i] }))
    const ours = expressions.map((text) => ({ text, hosts: muster(text) }))
    expect(ours.filter(({ hosts }, i) => JSON.stringify(hosts) !== JSON.stringify(theirs[i]?.hosts))).toEqual([])
    // Otherwise both could agree on refusing everything.
    expect(ours.filter(({ hosts }) => hosts !== null && hosts.length > 0).length).toBeGreaterThan(1_000)
  })

  test('that a fold stands for the names it was made of', async () => {
    const name = fc
      .tuple(
        fc.constantFrom('a', 'b-', 'r1n'),
        fc.nat(40),
        fc.constantFrom(0, 2, 3),
        fc.constantFrom('', 'x', '.eu'),
        fc.nat(3),
      )
      .map(
        ([prefix, n, width, middle, last]) =>
          prefix + String(n).padStart(width, '0') + (middle === '' ? '' : middle + last),
      )
    const sets = fc.sample(fc.uniqueArray(name, { minLength: 1, maxLength: 60 }), 500)
    const answers = await clusterShell(sets.map(foldHosts))
    expect(answers).toEqual(sets.map((names) => names.toSorted()))
  })

  const MALFORMED = [
    'web[2-1]',
    'web[1-0]',
    'web[]',
    'web[1',
    'web1]',
    'web[[1]]',
    'web[a-b]',
    'web[01-100]',
    'web[1-010]',
    'web[5/2]',
    'web[1-5/0]',
    'db,,n1',
    'db,',
    '!db',
    'db!',
    '&db',
    'db^',
  ]
  test('on what is malformed', async () => {
    expect((await clusterShell(MALFORMED)).map((hosts, i) => [MALFORMED[i], hosts])).toEqual(
      MALFORMED.map((text) => [text, null]),
    )
    expect(MALFORMED.map((text) => [text, muster(text)])).toEqual(MALFORMED.map((text) => [text, null]))
  })
})

describe('Muster differs on purpose', () => {
  test.each([
    ['no name has a space in it', 'n1 n2', null, ['n1 n2']],
    ['a name that is not in the inventory is an error', 'n31', null, ['n31']],
    ['a group that does not exist is an error', '@nosuch', null, []],
    ['a wildcard that matches nothing is an error', 'x*', null, []],
    ['parentheses group', 'db,(n[1-2]&n2)', ['db', 'n2'], []],
    ['labels select', '{env=prod}', [], ['{env=prod}']],
    ['brackets may follow each other', 'n[1-2][0-1]', ['n10', 'n11', 'n20', 'n21'], null],
    ['groups have one source', '@local:dc2&dc2n01', null, ['dc2n01']],
  ])('%s: %s', async (_why, text, ours, theirs) => {
    expect(muster(text)).toEqual(ours)
    const [answer] = await clusterShell([text])
    expect(answer).toEqual(theirs)
  })
})

test('the program nodeset itself reads what is folded here, and folds to the same names', async () => {
  const names = ['web01', 'web02', 'web03', 'web07', 'dc1n01', 'dc1n02', 'dc2n01', 'dc2n02', 'db']
  const { stdout } = await run(nodeset, ['-f', foldHosts(names)], { timeout: 30_000 })
  expect(
    parseTargets(stdout.trim())
      .flatMap(({ term: found }) => (found.kind === 'names' ? found.names : []))
      .toSorted(),
  ).toEqual(names.toSorted())
})
