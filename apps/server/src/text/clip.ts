/** Cuts text to the room that an answer has for it. */

/** The text, cut to `maxChars` with an ellipsis at the end. Never ends in half of a surrogate pair. */
export function clip(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text
  return `${text.slice(0, Math.max(0, maxChars - 1)).replace(/[\uD800-\uDBFF]$/, '')}…`.slice(0, maxChars)
}
