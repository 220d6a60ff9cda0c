/**
 * Mistakes in an inventory: collected with their positions and thrown together as one error.
 *
 * The text of a mistake never quotes a value that may be a secret; the module that finds the mistake sees to that.
 */
import { MusterError } from '@muster/contract'

/** A position in a source: `inventory.yaml`, line 12, `hosts.web01.port`. */
export type Position = {
  /** The file as it was named, or `SSH_SERVERS`. */
  readonly source: string
  /** One-based. Absent when the source has no lines. */
  readonly line?: number
  /** The path to the field, from the top. Absent when the whole line is meant. */
  readonly path?: string
}

/** A mistake and where it is. */
export type Mistake = { readonly position: Position; readonly text: string }

/** The mistake of a host without a user: the one that this process runs as stands in only when it has a name. */
export const NO_USER = 'give a user to log in as, here or in USER: this process runs as a user without a name'

/** The fault of a host that is reached through itself. */
export function inCircle(names: readonly string[]): string {
  return `the jump hosts go in a circle: ${names.join(' → ')}`
}

/** The fault of a host behind one that must not be used. */
export function cannotJump(name: string, why: string): string {
  return `its jump host ${name} cannot be used: ${why}`
}

/** The position as people read it: `inventory.yaml:12: hosts.web01.port`. */
export function writePosition(position: Position): string {
  const line = position.line === undefined ? position.source : `${position.source}:${position.line}`
  return position.path === undefined ? line : `${line}: ${position.path}`
}

/** All mistakes as one `invalid_inventory` error, one line each: source by source, from top to bottom. */
export function invalidInventory(mistakes: readonly Mistake[]): MusterError {
  const sources = [...new Set(mistakes.map(({ position }) => position.source))]
  const order = ({ position }: Mistake) => [sources.indexOf(position.source), position.line ?? 0] as const
  const sorted = [...mistakes].sort((a, b) => {
    const [sourceA, lineA] = order(a)
    const [sourceB, lineB] = order(b)
    return sourceA - sourceB || lineA - lineB
  })
  // An entry with a range can make the same mistake for each of its hosts.
  const lines = [...new Set(sorted.map(({ position, text }) => `${writePosition(position)}: ${text}`))]
  const count = lines.length === 1 ? 'one mistake' : `${lines.length} mistakes`
  return new MusterError('invalid_inventory', [`the inventory has ${count}`, ...lines].join('\n'))
}
