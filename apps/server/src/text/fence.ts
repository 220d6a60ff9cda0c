/** The fence around what hosts printed, in a text for AI agents: it tells data from the words of Muster. */
import { randomBytes } from 'node:crypto'

/** How long a text may be, and the word of the fences in it. */
export type TextLimits = { readonly maxChars: number; readonly fence: string }

/** A new word for the fences of one answer. Output cannot know it, so it cannot pretend to have ended. */
export function newFence(): string {
  return randomBytes(4).toString('hex')
}

/** The text between the two lines of a fence. The label says what the text is. */
export function fenced(fence: string, label: string, text: string): string {
  return `<<<${fence} ${label}\n${text}\n${fence}>>>`
}
