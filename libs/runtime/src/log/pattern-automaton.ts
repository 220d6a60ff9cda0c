/**
 * An automaton that reads bytes one by one and knows at each which of many patterns ends there, and how much of one has
 * begun: that of Aho and Corasick (1975). A byte costs the same however many patterns there are and however they
 * overlap. Libraries for it search whole texts only, and do not tell what has begun at the end of a piece.
 *
 * A state stands for what has been read as far as it is the beginning of a pattern; 0 is nothing. States are numbered
 * level by level, so that the children of one are neighbours, and of a few bytes each.
 */

/** An automaton for these patterns. */
export class PatternAutomaton {
  /** The children of a state are those from `#first[state]` to before `#first[state + 1]`, sorted by their byte. */
  readonly #first: Int32Array
  readonly #byte: Uint8Array
  /** The first state of each level: as many bytes as a level is deep are what its states stand for. */
  readonly #levels: number[] = []
  /** The state of the longest ending of what a state stands for that is a beginning, too. */
  readonly #shorter: Int32Array
  readonly #ended: Uint16Array | Uint32Array
  /** The states after nothing and each byte: where most of what is read stays. */
  readonly #begun = new Int32Array(256)

  constructor(patterns: readonly Uint8Array[]) {
    const sorted = patterns.filter(({ length }) => length > 0).sort(Buffer.compare)
    const states = 1 + countStates(sorted)
    this.#first = new Int32Array(states + 1)
    this.#byte = new Uint8Array(states)
    this.#shorter = new Int32Array(states)
    const longest = sorted.reduce((most, { length }) => Math.max(most, length), 0)
    this.#ended = longest < 2 ** 16 ? new Uint16Array(states) : new Uint32Array(states)
    this.#grow(sorted, states)
  }

  /**
   * Reads on from a state, and returns the one after the last byte. `ended` becomes, for each byte, the length of the
   * longest pattern that ends with it; 0 for none.
   */
  read(from: number, bytes: Uint8Array, ended: Int32Array): number {
    let state = from
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0
      state = state === 0 ? (this.#begun[byte] ?? 0) : this.#next(state, byte)
      if (state !== 0) ended[at] = this.#ended[state] ?? 0
    }
    return state
  }

  /** How many of the last bytes read are the beginning of a pattern, and not yet the whole of it. */
  begunAt(state: number): number {
    let from = state
    while (from !== 0 && this.#first[from] === this.#first[from + 1]) from = this.#shorter[from] ?? 0
    return this.#levels.findLastIndex((first) => first <= from)
  }

  /** Adds the states of each level, from the patterns that go on there. Sorted, those of one state are neighbours. */
  #grow(sorted: readonly Uint8Array[], states: number): void {
    let level = [0, sorted.length]
    let parent = 0
    let last = 0
    for (let depth = 1; level.length > 0; depth += 1) {
      const below: number[] = []
      this.#levels.push(parent)
      for (let i = 0; i < level.length; i += 2, parent += 1) {
        const end = level[i + 1] ?? 0
        this.#first[parent] = last + 1
        for (let start = level[i] ?? 0, at = start; start < end; start = at) {
          const byte = sorted[start]?.[depth - 1]
          while (at < end && sorted[at]?.[depth - 1] === byte) at += 1
          if (byte === undefined) continue
          last += 1
          this.#add(last, parent, byte)
          if (sorted[start]?.length === depth) this.#ended[last] = depth
          below.push(start, at)
        }
      }
      level = below
    }
    this.#first[states] = states
  }

  #next(state: number, byte: number): number {
    for (let from = state; from !== 0; from = this.#shorter[from] ?? 0) {
      const child = this.#child(from, byte)
      if (child !== 0) return child
    }
    return this.#begun[byte] ?? 0
  }

  #add(state: number, parent: number, byte: number): void {
    this.#byte[state] = byte
    if (parent === 0) {
      this.#begun[byte] = state
      return
    }
    const shorter = this.#next(this.#shorter[parent] ?? 0, byte)
    this.#shorter[state] = shorter
    this.#ended[state] = this.#ended[shorter] ?? 0
  }

  /** The child by this byte; 0 for none. */
  #child(state: number, byte: number): number {
    let low = this.#first[state] ?? 0
    let high = this.#first[state + 1] ?? 0
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#byte[middle] ?? 0) < byte) low = middle + 1
      else high = middle
    }
    return low < (this.#first[state + 1] ?? 0) && this.#byte[low] === byte ? low : 0
  }
}

/** How many different beginnings sorted patterns have. */
function countStates(sorted: readonly Uint8Array[]): number {
  let count = 0
  let before: Uint8Array = new Uint8Array()
  for (const pattern of sorted) {
    let shared = 0
    while (shared < before.length && before[shared] === pattern[shared]) shared += 1
    count += pattern.length - shared
    before = pattern
  }
  return count
}
