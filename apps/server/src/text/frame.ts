/** The frame around what hosts printed, in a text for AI agents: it tells data from the words of Muster. */
import { randomBytes } from 'node:crypto'

/** How long a text may be, and the word of the frames in it. */
export type TextLimits = { readonly maxChars: number; readonly frame: string }

/** A new word for the frames of one answer. Output cannot know it, so it cannot pretend to have ended. */
export function newFrame(): string {
  return randomBytes(4).toString('hex')
}

/** The text between the two lines of a frame. The label says what the text is. */
export function framed(frame: string, label: string, text: string): string {
  return `<<<${frame} ${label}\n${text}\n${frame}>>>`
}
