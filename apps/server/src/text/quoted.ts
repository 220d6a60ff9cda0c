/** Words that a host or another person chose, inside a line of ours. */
import { escapeLine } from '@muster/contract'
import { clip } from './clip.ts'

/** They stand in quotes on that line, cannot close them, and hide nothing. */
export function quoted(text: string, maxChars: number): string {
  return `"${clip(escapeLine(text), maxChars).replaceAll('"', "'")}"`
}
