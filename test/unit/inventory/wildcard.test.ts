/** Wildcards against names: as a regular expression would say, for any pattern, but never slowly. */
import { parseInventory } from '@muster/inventory'
import fc from 'fast-check'
import { expect, it } from 'vitest'

const letters = (units: string, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...units), minLength: 1, maxLength })

it('"*" stands for any characters and "?" for one, and the whole name must match', () => {
  const name = letters('ab0', 8)
  const pattern = letters('ab0*?', 8).filter((text) => /[*?]/.test(text))
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 5 }), pattern, (names, wildcards) => {
      const text = `hosts:\n${names.map((host) => `  "${host}": { address: h-${host} }\n`).join('')}`
      const inventory = parseInventory(text, 'x.yaml', { home: '/', user: 'me', credentials: [] })
      const regex = new RegExp(`^${wildcards.replaceAll('*', '.*').replaceAll('?', '.')}$`)
      const matching = names.filter((host) => regex.test(host))
      if (matching.length > 0) expect(inventory.resolve(wildcards)).toEqual(matching)
      else expect(() => inventory.resolve(wildcards)).toThrow('no host in the inventory matches')
    }),
    { numRuns: 1_000 },
  )
})

it('a pattern of many wildcards is compared with a long name in one go', () => {
  const name = 'a'.repeat(250)
  const inventory = parseInventory(`hosts:\n  ${name}: { address: h }\n`, 'x.yaml', {
    home: '/',
    user: 'me',
    credentials: [],
  })
  expect(() => inventory.resolve(`${'a*'.repeat(126)}b`)).toThrow('no host in the inventory matches')
  expect(inventory.resolve(`${'*a'.repeat(126)}`)).toEqual([name])
})
