/**
 * Untrusted text made safe to show: characters that move a cursor, change the terminal, reorder text or hide in it are
 * written out as escapes.
 *
 * They are taken by their Unicode category and property, never by a list: all of `C` (control, format, surrogate,
 * private use, unassigned), line and paragraph separators, and all that is ignorable by default, such as variation
 * selectors, tags and fillers. What has a width of its own stays, blanks such as U+3000 too: it is ordinary text. The
 * price is paid by joiners and selectors inside of words and emoji, which are shown as `\u200d` or `\ufe0f`.
 *
 * It does not shorten, and it does not judge what the text says.
 */

/** All of them but newline and tab. */
const HIDDEN = /[^\P{C}\n\t]|[\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu
/** Runs of any of them, newlines and tabs too. */
const HIDDEN_RUNS = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]+/gu

/** The text with every control and invisible character written as `\x1b`, `\u200b` or `\u{e0001}`; newline and tab stay. */
export function escapeControl(text: string): string {
  return text.replace(HIDDEN, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16)
    if (code.length <= 2) return `\\x${code.padStart(2, '0')}`
    return code.length <= 4 ? `\\u${code.padStart(4, '0')}` : `\\u{${code}}`
  })
}

/** The same on one line: newlines and tabs become blanks, so that the text cannot begin a line of its own. */
export function escapeLine(text: string): string {
  return escapeControl(text).replace(/[\n\t]/g, ' ')
}

/** The text on one line without what cannot be seen: runs of such characters, newlines and tabs become one blank. */
export function blankControl(text: string): string {
  return text.replace(HIDDEN_RUNS, ' ').trim()
}

/** A value as JSON on one line that is safe to show; parsing it gives the same value. */
export function visibleJson(value: unknown): string {
  return escapeJson(JSON.stringify(value))
}

/** The same JSON, what is invisible in its texts escaped the way JSON does it. */
export function escapeJson(json: string): string {
  // By UTF-16 unit, as JSON has no other escape.
  const unitAt = (character: string, i: number) => character.charCodeAt(i).toString(16).padStart(4, '0')
  return json.replace(HIDDEN, (character) =>
    Array.from({ length: character.length }, (_, i) => `\\u${unitAt(character, i)}`).join(''),
  )
}
