/** Where the next page of a list begins, as a word that callers hand back and need not understand. */
import { MusterError } from '@muster/contract'

/** What a list is of, such as "runs", and what makes it another list: the job, the filter. */
export type PagedList = readonly [kind: string, ...of: (string | undefined)[]]

/** The cursor for a place in this list. */
export function writeCursor(list: PagedList, place: string | number): string {
  return Buffer.from([...list, place].join(':')).toString('base64url')
}

/**
 * The place in this list that a cursor stands for.
 * @throws {MusterError} invalid_request for a text that no page of this list gave out
 */
export function readCursor(list: PagedList, cursor: string, form: RegExp): string {
  const text = Buffer.from(cursor, 'base64url').toString()
  const place = text.slice(text.lastIndexOf(':') + 1)
  // Decoding skips what it does not know, so only a cursor that is written the same again is one.
  if (form.test(place) && writeCursor(list, place) === cursor) return place
  throw new MusterError('invalid_request', `cursor: this is not the next_cursor of a page of these ${list[0]}`, {
    details: { field: 'cursor' },
  })
}
