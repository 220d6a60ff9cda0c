/** Cursors say where the next page of a list begins. Callers hand them back and need not understand them. */
import { MusterError } from '@muster/contract'

/** What tells a list from others: what it lists, such as "runs", then the job and the filter. */
export type PagedList = readonly [kind: string, ...of: (string | undefined)[]]

/** Returns the cursor for a position in this list. */
export function writeCursor(list: PagedList, position: string | number): string {
  return Buffer.from([...list, position].join(':')).toString('base64url')
}

/**
 * Returns the position in this list that a cursor stands for. `form` is what a position looks like.
 * @throws {MusterError} invalid_request for a cursor that no page of this list gave out
 */
export function readCursor(list: PagedList, cursor: string, form: RegExp): string {
  const text = Buffer.from(cursor, 'base64url').toString()
  const position = text.slice(text.lastIndexOf(':') + 1)
  // Decoding skips unknown characters, so the cursor is valid only if encoding its position gives it back.
  if (form.test(position) && writeCursor(list, position) === cursor) return position
  throw new MusterError('invalid_request', `cursor: this is not the next_cursor of a page of these ${list[0]}`, {
    details: { field: 'cursor' },
  })
}
