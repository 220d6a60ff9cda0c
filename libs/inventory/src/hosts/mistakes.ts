/**
 * Mistakes in an inventory: collected with their places and thrown together as one error.
 *
 * The text of a mistake never quotes a value that may be a secret; the module that finds the mistake sees to that.
 */
import { MusterError } from '@muster/contract'

/** A place in a source: `inventory.yaml`, line 12, `hosts.web01.port`. */
export type Place = {
  /** The file as it was named, or `SSH_SERVERS`. */
  readonly source: string
  /** One-based. Absent when the source has no lines. */
  readonly line?: number
  /** The path to the field, from the top. Absent when the whole line is meant. */
  readonly path?: string
}

/** A mistake and where it is. */
export type Mistake = { readonly place: Place; readonly text: string }

/** The place as people read it: `inventory.yaml:12: hosts.web01.port`. */
export function writePlace(place: Place): string {
  const line = place.line === undefined ? place.source : `${place.source}:${place.line}`
  return place.path === undefined ? line : `${line}: ${place.path}`
}

/** All mistakes as one `invalid_inventory` error, one line each: source by source, from top to bottom. */
export function invalidInventory(mistakes: readonly Mistake[]): MusterError {
  const sources = [...new Set(mistakes.map(({ place }) => place.source))]
  const order = ({ place }: Mistake) => [sources.indexOf(place.source), place.line ?? 0] as const
  const sorted = [...mistakes].sort((a, b) => {
    const [sourceA, lineA] = order(a)
    const [sourceB, lineB] = order(b)
    return sourceA - sourceB || lineA - lineB
  })
  // An entry with a range can make the same mistake for each of its hosts.
  const lines = [...new Set(sorted.map(({ place, text }) => `${writePlace(place)}: ${text}`))]
  const count = lines.length === 1 ? 'one mistake' : `${lines.length} mistakes`
  return new MusterError('invalid_inventory', [`the inventory has ${count}`, ...lines].join('\n'))
}
