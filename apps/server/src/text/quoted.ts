/** Shows words that a host or another person chose inside a line of ours. */
import { escapeLine } from '@muster/contract'
import { clip } from './clip.ts'

/** The text in quotes, on one line: it cannot close the quotes, and control characters are visible. */
export function quoted(text: string, maxChars: number): string {
  return `"${clip(escapeLine(text), maxChars).replaceAll('"', "'")}"`
}
