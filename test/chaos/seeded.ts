/** Chance that can be repeated: the same seed draws the same values in the same order. Not for secrets. */

/** A source of chance. */
export type Draw = {
  /** A whole number from `least` to `most`, both included. */
  integer(least: number, most: number): number
  /** Whether something of this probability (0 to 1) happens. */
  chance(probability: number): boolean
  /** One of these. @throws {Error} of none */
  pick<T>(from: readonly T[]): T
  /** All of these in another order. */
  shuffle<T>(of: readonly T[]): T[]
}

/** Starts at the seed. `stream` keeps two uses of one seed apart: what one draws does not move the other. */
export function drawFrom(seed: number, stream: string): Draw {
  let state = [...stream].reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 0x01000193), seed | 0)
  // mulberry32: small, fast, and good enough to spread faults about.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32
  }
  const integer = (least: number, most: number) => least + Math.floor(next() * (most - least + 1))
  return {
    integer,
    chance: (probability) => next() < probability,
    pick: (from) => {
      const [one] = from.slice(integer(0, from.length - 1))
      if (one === undefined) throw new Error('there is nothing to pick from')
      return one
    },
    shuffle: (of) => {
      const rest = [...of]
      const order: typeof rest = []
      while (rest.length > 0) order.push(...rest.splice(integer(0, rest.length - 1), 1))
      return order
    },
  }
}
