/** Cuts text to the room that an answer has for it. */
import { firstChars } from '@muster/contract'

/** The text, cut to `maxChars` the ellipsis at the end included. */
export function clip(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text
  return `${firstChars(text, maxChars - 1)}…`.slice(0, maxChars)
}
