/** From targets, exclude, pick, order and limit to hosts: in which order they are applied, and that chance repeats. */
import { MusterError, OPERATIONS, type Request } from '@muster/contract'
import { parseInventory } from '@muster/inventory'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { selectHosts } from '../../../apps/server/src/operations/hosts/select-hosts.ts'

const INVENTORY = parseInventory(
  `
hosts:
  web10: { labels: { rack: r10, rank: "2" } }
  web9: { labels: { rack: r9, rank: "10" } }
  web01: { labels: { rack: r9 } }
  web1: {}
  db: { labels: { rack: a } }
groups:
  web: "web9,web10,web01,web1"
`,
  'inventory.yaml',
  { home: '/', user: 'me', credentials: [] },
)
const ALL = ['web10', 'web9', 'web01', 'web1', 'db']

function select(fields: Request<'resolve_targets'>) {
  return selectHosts(INVENTORY, OPERATIONS.resolve_targets.input.parse(fields))
}

function refusalOf(fields: Request<'resolve_targets'>): MusterError {
  try {
    select(fields)
  } catch (error) {
    if (error instanceof MusterError) return error
    throw error
  }
  throw new Error('it was not refused')
}

describe('the order', () => {
  test.each([
    ['given', ALL],
    ['name', ['db', 'web01', 'web1', 'web9', 'web10']],
    ['label:rack', ['db', 'web9', 'web01', 'web10', 'web1']],
    ['label:rank', ['web10', 'web9', 'web01', 'web1', 'db']],
    ['label:nosuch', ALL],
    ['label:constructor', ALL],
  ])('%s', (order, hosts) => {
    expect(select({ targets: '@*', order })).toEqual({ hosts, seed: undefined })
  })

  test('shuffle is that of the seed and the set of hosts, on every machine and however the hosts are named', () => {
    // Written down: whoever changes how chance works changes what an old seed means.
    const expected = ['web10', 'web01', 'web9', 'db', 'web1']
    expect(select({ targets: '@*', order: 'shuffle', seed: 7 })).toEqual({ hosts: expected, seed: 7 })
    expect(select({ targets: 'db,@web', order: 'shuffle', seed: 7 }).hosts).toEqual(expected)
    expect(select({ targets: '@*', order: 'shuffle', seed: 8 }).hosts).not.toEqual(expected)
  })
})

describe('pick', () => {
  test('draws the same hosts for the same seed and leaves them in their order', () => {
    expect(select({ targets: '@*', pick: 2, seed: 1 })).toEqual({ hosts: ['web10', 'web9'], seed: 1 })
    expect(select({ targets: 'db,@web', pick: 2, seed: 1 }).hosts).toEqual(['web9', 'web10'])
  })

  test('draws a seed and tells it when none is given, and draws the same again with it', () => {
    const first = select({ targets: '@*', pick: 2 })
    expect(first.seed).toBeGreaterThanOrEqual(0)
    expect(select({ targets: '@*', pick: 2, seed: first.seed }).hosts).toEqual(first.hosts)
  })

  test('of as many hosts as there are, or more, draws nothing', () => {
    for (const pick of [5, 6]) expect(select({ targets: '@*', pick, seed: 1 })).toEqual({ hosts: ALL, seed: undefined })
  })

  test('takes every host equally often', () => {
    const counts = new Map(ALL.map((host) => [host, 0]))
    for (let seed = 0; seed < 2_000; seed += 1) {
      for (const host of select({ targets: '@*', pick: 2, seed }).hosts) counts.set(host, (counts.get(host) ?? 0) + 1)
    }
    // 800 each; five standard deviations are 110.
    for (const count of counts.values()) expect(Math.abs(count - 800)).toBeLessThan(110)
  })
})

describe('together', () => {
  test('excluded hosts are gone before any are picked or counted', () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const { hosts } = select({ targets: '@*', exclude: 'db,web1', pick: 3, seed })
      expect(hosts).toEqual(['web10', 'web9', 'web01'])
      expect(select({ targets: '@*', exclude: 'web10', limit: 4 }).hosts).toEqual(['web9', 'web01', 'web1', 'db'])
    }
  })

  test('hosts are picked, then ordered, then limited', () => {
    const picked = select({ targets: '@*', pick: 3, seed: 5 }).hosts
    const ordered = select({ targets: '@*', pick: 3, order: 'name', seed: 5 }).hosts
    expect(ordered.toSorted()).toEqual(picked.toSorted())
    expect(select({ targets: '@*', pick: 3, order: 'name', limit: 2, seed: 5 }).hosts).toEqual(ordered.slice(0, 2))
    const shuffled = select({ targets: '@*', pick: 3, order: 'shuffle', seed: 5 }).hosts
    expect(shuffled.toSorted()).toEqual(picked.toSorted())
  })

  test('whatever is asked for, exclusion wins, no host comes twice, and pick and limit hold', () => {
    const fields = fc.record(
      {
        targets: fc.constantFrom('@*', '@web', 'db,web1', 'web*,{rack=a}'),
        exclude: fc.constantFrom('db', 'web1', 'web9,db', '{rack=r9}', '{rack=nosuch}'),
        pick: fc.integer({ min: 1, max: 6 }),
        order: fc.constantFrom('given', 'name', 'shuffle', 'label:rack'),
        limit: fc.integer({ min: 1, max: 6 }),
        seed: fc.nat(100),
      },
      { requiredKeys: ['targets'] },
    )
    fc.assert(
      fc.property(fields, (asked) => {
        const excluded = new Set(asked.exclude === undefined ? [] : INVENTORY.resolve(asked.exclude))
        const allowed = INVENTORY.resolve(asked.targets).filter((host) => !excluded.has(host))
        if (allowed.length === 0) {
          expect(refusalOf(asked)).toMatchObject({ code: 'no_targets', details: { field: 'exclude' } })
          return
        }
        const { hosts } = select(asked)
        expect(hosts).toHaveLength(Math.min(allowed.length, asked.pick ?? 9, asked.limit ?? 9))
        expect(new Set(hosts).size).toBe(hosts.length)
        expect(hosts.filter((host) => !allowed.includes(host))).toEqual([])
        if (asked.seed !== undefined) expect(select(asked).hosts).toEqual(hosts)
      }),
    )
  })
})

test.each([
  [{ targets: 'web1,,db' }, 'invalid_target', { field: 'targets', position: 5 }],
  [{ targets: 'web2' }, 'unknown_target', { field: 'targets', position: 0 }],
  [{ targets: '{rack=nosuch}' }, 'no_targets', { field: 'targets' }],
  [{ targets: '@*', exclude: 'web1!' }, 'invalid_target', { field: 'exclude', position: 5 }],
  [{ targets: '@*', exclude: 'db,@wep' }, 'unknown_target', { field: 'exclude', position: 3, nearest: ['@web'] }],
  [{ targets: '@web', exclude: 'web*' }, 'no_targets', { field: 'exclude' }],
])('%j is refused as %s, naming the field at fault', (fields, code, details) => {
  expect(refusalOf(fields)).toMatchObject({ code, details })
})
