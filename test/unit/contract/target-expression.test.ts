/** Target expressions and ranges: what they mean, and what is said about the ones that mean nothing. */
import { EXPANSION_LIMIT, expandRanges, foldHosts, MusterError, parseTargets } from '@muster/contract'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

describe('ranges', () => {
  test.each([
    ['web1', ['web1']],
    ['web[1-3]', ['web1', 'web2', 'web3']],
    ['web[08-11]', ['web08', 'web09', 'web10', 'web11']],
    ['web[1,3,7-8].eu', ['web1.eu', 'web3.eu', 'web7.eu', 'web8.eu']],
    ['r[1-2]n[1-2]', ['r1n1', 'r1n2', 'r2n1', 'r2n2']],
  ])('%s stands for %j', (pattern, names) => {
    expect(expandRanges(pattern)).toEqual(names)
  })

  test.each([
    ['web[3-1]', 'backwards', 4],
    ['web[a-b]', 'expected a number', 4],
    ['web[1-2', 'do not match', 3],
    ['web1]', '"]" without "["', 4],
    ['web[]', 'expected a number', 4],
    ['n[1-99999999]', `more than ${EXPANSION_LIMIT}`, 2],
    ['a[1-1000]b[1-1000]', `more than ${EXPANSION_LIMIT}`, 0],
  ])('%s is refused: %s at position %i', (pattern, message, position) => {
    const refusal = catchError(() => expandRanges(pattern))
    expect(refusal.code).toBe('invalid_target')
    expect(refusal.message).toContain(message)
    expect(refusal.details.position).toBe(position)
  })
})

describe('target expressions', () => {
  test('terms are added and taken away from left to right', () => {
    expect(parseTargets('@web, web[1-2]!web1,db')).toEqual([
      { op: 'add', group: 'web', names: [], position: 0 },
      { op: 'add', names: ['web1', 'web2'], position: 6 },
      { op: 'remove', names: ['web1'], position: 15 },
      { op: 'add', names: ['db'], position: 20 },
    ])
  })

  test.each([
    ['web1,,web2', 5],
    ['web1,', 5],
    ['', 0],
    ['  ', 2],
    ['!web1', 0],
    ['@', 1],
    ['web1!', 5],
    ['web 1', 0],
    ['web1;rm -rf /', 0],
    ['-oProxyCommand=x', 0],
    ['web1,$(id)', 5],
    ['@*x', 1],
  ])('"%s" is refused at position %i with what was expected there', (expression, position) => {
    const refusal = catchError(() => parseTargets(expression))
    expect(refusal).toMatchObject({ code: 'invalid_target', details: { position } })
    expect(refusal.message).toMatch(/^expected /)
  })

  test('any text is either parsed or refused as an expression, never with another fault', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'web01[]-,!@* ;'), maxLength: 24 }), (text) => {
        try {
          parseTargets(text)
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_target' })
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('folding', () => {
  test.each([
    [['web01', 'web02', 'web03', 'web07'], 'web[01-03,07]'],
    [['web9', 'web10', 'web11'], 'web[9-11]'],
    [['web08', 'web09', 'web10'], 'web[08-10]'],
    [['db', 'web1'], 'db,web1'],
    [['n1.eu', 'n2.eu', 'n1.us'], 'n[1-2].eu,n1.us'],
    [[], ''],
  ])('%j is written %s', (names, folded) => {
    expect(foldHosts(names)).toBe(folded)
  })

  test('expanding a fold gives back the same hosts', () => {
    const name = fc.tuple(
      fc.constantFrom('web', 'db-', 'r1n'),
      fc.nat(200),
      fc.constantFrom(0, 2, 3),
      fc.constantFrom('', '.eu'),
    )
    const names = fc.uniqueArray(
      name.map(([prefix, n, width, suffix]) => `${prefix}${String(n).padStart(width, '0')}${suffix}`),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(names, (hosts) => {
        const again = parseTargetsOf(foldHosts(hosts))
        expect(again.toSorted()).toEqual(hosts.toSorted())
      }),
      { numRuns: 500 },
    )
  })
})

function parseTargetsOf(folded: string): string[] {
  return folded === '' ? [] : parseTargets(folded).flatMap(({ names }) => names)
}

function catchError(act: () => unknown): MusterError {
  try {
    act()
  } catch (error) {
    if (error instanceof MusterError) return error
    throw error
  }
  throw new Error('it was not refused')
}
