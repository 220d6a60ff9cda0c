/**
 * Orders hosts by name, by the value of a label, or by chance. The order is the same everywhere: it does not depend on
 * the language of the machine, and chance depends on the seed alone.
 */
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { mersenne } from 'pure-rand/generator/mersenne'

/** Orders by name, with numbers by value: `web2` before `web10`. */
export function byName(hosts: readonly string[]): string[] {
  return sorted(hosts.map((host) => ({ host, key: `${sortKey(host)}\0${host}` })))
}

/** Orders by label value, with numbers by value and hosts without a value last. Equal ones keep their order. */
export function byLabel(hosts: readonly string[], labelOf: (host: string) => string | undefined): string[] {
  const withValue: Keyed[] = []
  const without: string[] = []
  for (const host of hosts) {
    const value = labelOf(host)
    if (value === undefined) without.push(host)
    else withValue.push({ host, key: sortKey(value) })
  }
  return [...sorted(withValue), ...without]
}

/** Shuffles. Only the seed and the set of hosts decide the order, not the order in which they come. */
export function shuffled(hosts: readonly string[], seed: number): string[] {
  const order = sorted(hosts.map((host) => ({ host, key: host })))
  // The generator of pure-rand that mixes its seed well: with others, the seeds 1, 2 and 3 draw neighbours.
  const random = mersenne(seed)
  for (const [i, host] of order.entries()) {
    const j = uniformInt(random, i, order.length - 1)
    order[i] = order[j] ?? host
    order[j] = host
  }
  return order
}

type Keyed = { readonly host: string; readonly key: string }

function sorted(keyed: Keyed[]): string[] {
  return keyed.sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key))).map(({ host }) => host)
}

/** A text that sorts numbers by value: a character that grows with the count of digits precedes each number. */
function sortKey(text: string): string {
  return text.replace(/\d+/g, (digits) => {
    const number = digits.replace(/^0+(?=\d)/, '')
    return `0${String.fromCharCode(48 + number.length)}${number}`
  })
}
