/**
 * `KexAlgorithms` and `HostKeyAlgorithms`: a list of names, or a change to the usual one (`+`, `-`, `^`), as far as
 * Muster's SSH library has them. What can be broken is offered to nobody.
 */
import { matchesList } from './match-criteria.ts'

/** The algorithms of one kind: what hosts are usually offered, and what they can be offered when a config names it. */
export type Algorithms = { readonly usual: readonly string[]; readonly besides: readonly string[] }

/** The list that a value of the option makes of the usual one. */
export function listOf(value: string, usual: readonly string[]): readonly string[] {
  const names = value.replace(/^[+^-]/, '').split(',')
  switch (value.charAt(0)) {
    case '+':
      return [...new Set([...usual, ...names])]
    case '^':
      return [...new Set([...names, ...usual])]
    case '-':
      return usual.filter((name) => !matchesList(names.join(','), name))
    default:
      return [...new Set(names)]
  }
}

/** What a host is offered by a value of the option, and the names in it that Muster cannot or will not offer. */
export function offered(
  value: string,
  { usual, besides }: Algorithms,
): { readonly names: readonly string[]; readonly missing: readonly string[] } {
  const can = new Set([...usual, ...besides])
  const wanted = listOf(value, usual)
  return { names: wanted.filter((name) => can.has(name)), missing: wanted.filter((name) => !can.has(name)) }
}
