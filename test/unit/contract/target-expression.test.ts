/** Target expressions and ranges: what they mean, and what is said about the ones that mean nothing. */
import { expandRanges, MusterError, parseTargets } from '@muster/contract'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EXPANSION_LIMIT } from '../../../libs/contract/src/targets/host-range.ts'

describe('ranges', () => {
  test.each([
    ['web1', ['web1']],
    ['web[1-3]', ['web1', 'web2', 'web3']],
    ['web[08-11]', ['web08', 'web09', 'web10', 'web11']],
    ['web[9-11]', ['web9', 'web10', 'web11']],
    ['web[1,3,7-8].eu', ['web1.eu', 'web3.eu', 'web7.eu', 'web8.eu']],
    ['n[001-010/4]', ['n001', 'n005', 'n009']],
    ['n[1-3/2,1]', ['n1', 'n3', 'n1']],
    ['r[1-2]n[01-02]', ['r1n01', 'r1n02', 'r2n01', 'r2n02']],
    ['[1-2][3]x', ['13x', '23x']],
    ['10.0.0.[9-10]', ['10.0.0.9', '10.0.0.10']],
    ['', ['']],
  ])('%s stands for %j', (pattern, names) => {
    expect(expandRanges(pattern)).toEqual(names)
  })

  test.each([
    ['web[3-1]', 'a range that goes up', 4],
    ['web[1,3-1]', 'a range that goes up', 6],
    ['web[1-0]', 'a range that goes up', 4],
    ['web[a-b]', 'a number', 4],
    ['web[1-]', 'a number', 6],
    ['web[]', 'a number', 4],
    ['web[1,]', 'a number', 6],
    ['web[1-2', '"-", "," or "]"', 7],
    ['web[1;2]', '"-", "," or "]"', 5],
    ['web[5/2]', '"-", "," or "]"', 5],
    ['web1]', '"[" before this "]"', 4],
    ['web[01-100]', 'as many digits at both ends', 4],
    ['web[1-010]', 'as many digits at both ends', 4],
    ['web[1-5/0]', 'a step of at least 1', 8],
    ['web[1234567890]', 'a number of at most 9 digits', 4],
    ['n[1-99999999]', `no more than ${EXPANSION_LIMIT} names`, 0],
    ['a[1-1000]b[1-1000]', `no more than ${EXPANSION_LIMIT} names`, 0],
  ])('%s is refused: %s expected at position %i', (pattern, what, position) => {
    const refusal = catchError(() => expandRanges(pattern))
    expect(refusal.code).toBe('invalid_target')
    expect(refusal.message).toMatch(/^expected /)
    expect(refusal.message).toContain(`${what}`)
    expect(refusal.message).toContain(`at position ${position}, not `)
    expect(refusal.details.position).toBe(position)
  })
})

describe('target expressions', () => {
  test('are steps from left to right, none binding closer than another', () => {
    expect(parseTargets('@web, web[1-2]!web1&@*^db')).toEqual([
      { op: 'union', term: { kind: 'group', name: 'web', position: 0 } },
      { op: 'union', term: { kind: 'names', names: ['web1', 'web2'], position: 6 } },
      { op: 'difference', term: { kind: 'names', names: ['web1'], position: 15 } },
      { op: 'intersection', term: { kind: 'all', position: 20 } },
      { op: 'symmetric_difference', term: { kind: 'names', names: ['db'], position: 23 } },
    ])
  })

  test('group by parentheses', () => {
    expect(parseTargets('a!( b , (c) )')).toEqual([
      { op: 'union', term: { kind: 'names', names: ['a'], position: 0 } },
      {
        op: 'difference',
        term: {
          kind: 'parentheses',
          position: 2,
          steps: [
            { op: 'union', term: { kind: 'names', names: ['b'], position: 4 } },
            {
              op: 'union',
              term: {
                kind: 'parentheses',
                position: 8,
                steps: [{ op: 'union', term: { kind: 'names', names: ['c'], position: 9 } }],
              },
            },
          ],
        },
      },
    ])
  })

  test('select by labels: all conditions, and one of the values of each', () => {
    expect(parseTargets('{env=prod|pre prod, role != db|web ,a/b.c=x@y}')).toEqual([
      {
        op: 'union',
        term: {
          kind: 'labels',
          position: 0,
          conditions: [
            { key: 'env', isNegated: false, values: ['prod', 'pre prod'] },
            { key: 'role', isNegated: true, values: ['db', 'web'] },
            { key: 'a/b.c', isNegated: false, values: ['x@y'] },
          ],
        },
      },
    ])
  })

  test('expand ranges in patterns with wildcards, and name a host that is written twice once', () => {
    expect(parseTargets('w?b[1-2]*').map(({ term }) => term)).toEqual([
      { kind: 'wildcards', patterns: ['w?b1*', 'w?b2*'], position: 0 },
    ])
    expect(parseTargets('n[1-2,2,1]').map(({ term }) => term)).toEqual([
      { kind: 'names', names: ['n1', 'n2'], position: 0 },
    ])
  })

  test.each([
    ['web1,,web2', 5, 'a host,'],
    ['web1,', 5, 'a host,'],
    ['', 0, 'a host,'],
    ['  ', 2, 'a host,'],
    ['!web1', 0, 'a host,'],
    ['web1!', 5, 'a host,'],
    ['web1,!web2', 5, 'a host,'],
    ['-oProxyCommand=x', 0, 'a host,'],
    ['.web', 0, 'a host,'],
    ['web1,$(id)', 5, 'a host,'],
    ['()', 1, 'a host,'],
    ['web1,10.0.0.5:2222', 5, 'a user before such an address, as in root@10.0.0.5:2222, at'],
    ['web1:22!db', 0, 'a user before such an address, as in root@web1:22, at'],
    ['[2001:db8::5]:22', 0, 'a user before such an address, as in root@[2001:db8::5]:22, at'],
    ['2001:db8::5', 0, 'a user before such an address, as in root@2001:db8::5, at'],
    ['::1', 0, 'a user before such an address, as in root@::1, at'],
    ['web1&)', 5, 'a host,'],
    ['@', 1, 'the name of a group'],
    ['@web,@-x', 6, 'the name of a group'],
    ['@*x', 2, '"," "!" "&" "^" or the end'],
    ['@aws:web', 4, '"," "!" "&" "^" or the end'],
    ['web 1', 4, '"," "!" "&" "^" or the end'],
    ['web1;rm -rf /', 4, '"," "!" "&" "^" or the end'],
    ['web1)', 4, '"," "!" "&" "^" or the end'],
    ['a(b)', 1, '"," "!" "&" "^" or the end'],
    ['web[1-2]]', 8, '"," "!" "&" "^" or the end'],
    ['(web1', 5, '"," "!" "&" "^" or ")"'],
    ['(web1 web2)', 6, '"," "!" "&" "^" or ")"'],
    ['{}', 1, 'the name of a label'],
    ['{env=prod,}', 10, 'the name of a label'],
    ['{env}', 4, '"=" or "!="'],
    ['{env!prod}', 4, '"=" or "!="'],
    ['{env=~prod', 10, '"," "|" or "}"'],
    ['{env=}', 5, 'the value of a label'],
    ['{env==prod}', 5, 'the value of a label'],
    ['{env=a|}', 7, 'the value of a label'],
    ['{env=prod!x}', 9, '"," "|" or "}"'],
    ['db,web[1-0]', 7, 'a range that goes up'],
    [`n${'x'.repeat(253)}`, 0, 'a name of at most 253 characters'],
    [`${'x'.repeat(252)}[1-10]`, 0, 'a name of at most 253 characters'],
    [`${'('.repeat(33)}a`, 32, 'no more than 32 open parentheses'],
  ])('"%s" is refused at position %i: expected %s', (expression, position, what) => {
    const refusal = catchError(() => parseTargets(expression))
    expect(refusal).toMatchObject({ code: 'invalid_target', details: { position } })
    expect(refusal.message).toContain(`expected ${what}`)
    expect(refusal.message).toContain(`at position ${position}, not `)
  })

  test('stand for a bounded number of names in all, not only in each pattern', () => {
    expect(parseTargets('a[1-5000],b[1-5000]')).toHaveLength(2)
    expect(catchError(() => parseTargets('a[1-5000],b[1-5000],c')).details.position).toBe(20)
    expect(catchError(() => parseTargets('@*!(a[1-5000]*,(b[1-5001]))')).details.position).toBe(16)
  })

  test('may be as long as people write, and are never too deep for the stack', () => {
    expect(parseTargets(Array.from({ length: 5_000 }, () => 'a').join('^'))).toHaveLength(5_000)
    expect(parseTargets(`${'('.repeat(32)}a${')'.repeat(32)}`)).toHaveLength(1)
  })

  test('any text is either parsed or refused where something else was expected, never with another fault', () => {
    const text = fc.string({ unit: fc.constantFrom(...'web01[]-,!@*?&^(){}=|/ ;'), maxLength: 24 })
    fc.assert(
      fc.property(text, (expression) => {
        try {
          parseTargets(expression)
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_target' })
          const { position = -1 } = error instanceof MusterError ? error.details : {}
          expect(position).toBeGreaterThanOrEqual(0)
          expect(position).toBeLessThanOrEqual(expression.length)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

function catchError(act: () => unknown): MusterError {
  try {
    act()
  } catch (error) {
    if (error instanceof MusterError) return error
    throw error
  }
  throw new Error('it was not refused')
}
