/** Folding: many names written as one short text, which stands for exactly these names. */
import { foldHosts, parseTargets } from '@muster/contract'
import fc from 'fast-check'
import { expect, test } from 'vitest'

/** What a folded text stands for, name by name. */
function namesOf(folded: string): string[] {
  if (folded === '') return []
  return parseTargets(folded).flatMap(({ op, term }) => {
    if (op !== 'union' || term.kind !== 'names') throw new Error(`a fold holds names only, not ${term.kind}`)
    return term.names
  })
}

test.each([
  [['web01', 'web02', 'web03', 'web07'], 'web[01-03,07]'],
  [['web1', 'web3', 'web2', 'web2'], 'web[1-3]'],
  [['web9', 'web10', 'web11'], 'web[9-11]'],
  [['web08', 'web09', 'web10'], 'web[08-10]'],
  [['web10', 'web09', 'web08'], 'web[08-10]'],
  [['web10', 'web9', 'web01'], 'web[9,01,10]'],
  [['web1', 'web01', 'web001'], 'web[1,01,001]'],
  [['web0', 'web00'], 'web[0,00]'],
  [['db', 'web1', 'db'], 'db,web1'],
  [['web1', 'web', 'web2'], 'web[1-2],web'],
  [['n1.eu', 'n2.eu', 'n1.us'], 'n[1-2].eu,n1.us'],
  [['dc1n01', 'dc1n02', 'dc2n01', 'dc2n02'], 'dc[1-2]n[01-02]'],
  [['dc1n01', 'dc2n01', 'dc3n01'], 'dc[1-3]n01'],
  [['dc1n01', 'dc1n02', 'dc2n01'], 'dc1n[01-02],dc2n01'],
  [['10-0-0-1', '10-0-0-2', '10-0-1-1', '10-0-1-2'], '10-0-[0-1]-[1-2]'],
  [['n12345678901', 'n12345678902'], 'n12[345678901-345678902]'],
  [['n999999999', 'n1000000000'], 'n999999999,n1000000000'],
  [[], ''],
])('%j is written %s', (names, folded) => {
  expect(foldHosts(names)).toBe(folded)
})

const digits = fc
  .tuple(fc.oneof(fc.nat(30), fc.nat(999_999_999)), fc.constantFrom(0, 2, 3, 9, 11))
  .map(([n, width]) => String(n).padStart(width, '0'))
const name = fc
  .tuple(fc.constantFrom('web', 'db-', '', 'r'), digits, fc.constantFrom('', '.eu', 'n', '-1.'), digits)
  .map(([prefix, first, middle, last]) => prefix + first + middle + last)
const anyName = fc.oneof({ weight: 9, arbitrary: name }, fc.constantFrom('web', 'db-', 'r', 'n.eu', 'web1n'))

test('parsing a fold gives back the same hosts, each once', () => {
  fc.assert(
    fc.property(fc.array(anyName, { maxLength: 80 }), (hosts) => {
      expect(namesOf(foldHosts(hosts)).toSorted()).toEqual([...new Set(hosts)].toSorted())
    }),
    { numRuns: 1_000 },
  )
})

test('names of one series whose numbers go up come back in their order', () => {
  const series = fc
    .uniqueArray(fc.nat(500), { minLength: 1, maxLength: 80 })
    .map((numbers) => numbers.toSorted((a, b) => a - b).map((n) => `n${String(n).padStart(3, '0')}`))
  fc.assert(
    fc.property(series, (hosts) => {
      expect(namesOf(foldHosts(hosts))).toEqual(hosts)
    }),
  )
})

test('what is folded already does not change when it is folded again', () => {
  fc.assert(
    fc.property(fc.array(anyName, { maxLength: 40 }), (hosts) => {
      const folded = foldHosts(hosts)
      expect(foldHosts(namesOf(folded))).toBe(folded)
    }),
  )
})

test('a whole block of any number of dimensions is one fold', () => {
  const block = ['1', '2', '3'].flatMap((a) =>
    ['01', '02'].flatMap((b) => ['8', '9', '10'].map((c) => `a${a}b${b}c${c}`)),
  )
  expect(foldHosts(block)).toBe('a[1-3]b[01-02]c[8-10]')
})
