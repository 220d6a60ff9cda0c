/** Cuts text to the room that an answer has for it. */

/** Never longer than asked for, and never half of a surrogate pair. */
export function clip(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text
  return `${text.slice(0, Math.max(0, maxChars - 1)).replace(/[\uD800-\uDBFF]$/, '')}…`.slice(0, maxChars)
}
