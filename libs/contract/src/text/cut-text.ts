/** Cuts text by its length. No cut leaves half of a surrogate pair, which would be no character at all. */

/** The first `mostChars` UTF-16 units of a text, or one fewer. */
export function firstChars(text: string, mostChars: number): string {
  return text.slice(0, Math.max(0, mostChars)).replace(/[\uD800-\uDBFF]$/, '')
}

/** The last `mostChars` UTF-16 units of a text, or one fewer. */
export function lastChars(text: string, mostChars: number): string {
  return text.slice(Math.max(0, text.length - Math.max(0, mostChars))).replace(/^[\uDC00-\uDFFF]/, '')
}

/** The text if it is no longer than `mostChars`; else its beginning, with an ellipsis behind it. */
export function shortened(text: string, mostChars: number): string {
  return text.length <= mostChars ? text : `${firstChars(text, mostChars)}…`
}
