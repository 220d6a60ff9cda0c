/**
 * Finds the ID of a JSON-RPC request in bytes that are not kept, so that a request too long to read can still be
 * answered. Clients write the ID before the parameters or behind them, so all bytes are looked at, once.
 *
 * It does not check that the bytes are JSON.
 */

/** Longer IDs, and longer names, are not looked at. */
const KEPT_LIMIT_BYTES = 256

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPENING: ReadonlySet<number> = new Set([0x7b, 0x5b])
const CLOSING: ReadonlySet<number> = new Set([0x7d, 0x5d])

/** The ID of a request. Null where JSON-RPC has it: when it answers no particular request. */
export type MessageId = string | number | null

/** Looks for the ID of one message. */
export type MessageIdSearch = {
  /** Takes the next bytes of the message. */
  take(bytes: Uint8Array): void
  /** The ID in what was taken; null when there is none, or more than one, or the body is a batch. */
  found(): MessageId
}

/** Begins a search. */
export function searchMessageId(): MessageIdSearch {
  let depth = 0
  let isText = false
  let isEscaped = false
  let isValue = false
  let name = ''
  /** What stands at the first level between two of `{ , : }`. */
  let kept: number[] = []
  const ids: unknown[] = []

  const endPart = () => {
    if (isValue && name === '"id"') ids.push(parsed(kept))
    else if (!isValue) name = String.fromCharCode(...kept).trim()
    kept = []
  }
  const keep = (byte: number) => {
    if (depth === 1 && kept.length <= KEPT_LIMIT_BYTES) kept.push(byte)
  }
  const takeByte = (byte: number) => {
    if (isText) {
      keep(byte)
      if (isEscaped) isEscaped = false
      else if (byte === BACKSLASH) isEscaped = true
      else if (byte === QUOTE) isText = false
    } else if (byte === QUOTE) {
      keep(byte)
      isText = true
    } else if (OPENING.has(byte)) {
      // Kept, so that an ID which is an object or a list is seen to be none.
      keep(byte)
      depth += 1
    } else if (CLOSING.has(byte)) {
      if (depth === 1) endPart()
      depth -= 1
    } else if (depth === 1 && (byte === COMMA || byte === COLON)) {
      endPart()
      isValue = byte === COLON
    } else {
      keep(byte)
    }
  }
  return {
    take: (bytes) => {
      for (const byte of bytes) takeByte(byte)
    },
    found: () => {
      const [id, ...others] = ids
      return others.length === 0 && (typeof id === 'string' || Number.isInteger(id)) ? asId(id) : null
    },
  }
}

function asId(id: unknown): MessageId {
  return typeof id === 'string' || typeof id === 'number' ? id : null
}

function parsed(bytes: readonly number[]): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString())
  } catch {
    // Cut, or no JSON: no ID.
    return undefined
  }
}
