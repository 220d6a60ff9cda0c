/**
 * Makes untrusted text safe to show: characters that move a cursor, change the terminal, reorder text or hide in it
 * are written as escapes.
 *
 * They are found by Unicode category and property, never by a list: all of `C` (control, format, surrogate, private
 * use, unassigned), line and paragraph separators, and everything that is ignorable by default, such as variation
 * selectors, tags and fillers. Characters with a width of their own stay, blanks such as U+3000 included. The price:
 * joiners and selectors inside words and emoji show as `\u200d` or `\ufe0f`.
 *
 * Nothing here shortens a text or judges what it says.
 */

/** All such characters except newline and tab. */
const HIDDEN = /[^\P{C}\n\t]|[\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu
/** Runs of such characters, newlines and tabs included. */
const HIDDEN_RUNS = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]+/gu

/** The text with control and invisible characters written as `\x1b`, `\u200b` or `\u{e0001}`; newline and tab stay. */
export function escapeControl(text: string): string {
  return text.replace(HIDDEN, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16)
    if (code.length <= 2) return `\\x${code.padStart(2, '0')}`
    return code.length <= 4 ? `\\u${code.padStart(4, '0')}` : `\\u{${code}}`
  })
}

/** The escaped text on one line: newlines and tabs become blanks, so that the text cannot start a line of its own. */
export function escapeLine(text: string): string {
  return escapeControl(text).replace(/[\n\t]/g, ' ')
}

/**
 * The text on one line: each run of control and invisible characters, newlines and tabs included, becomes one blank.
 */
export function blankControl(text: string): string {
  return text.replace(HIDDEN_RUNS, ' ').trim()
}

/** A value as JSON on one line, safe to show; parsing it gives the same value. */
export function visibleJson(value: unknown): string {
  return escapeJson(JSON.stringify(value))
}

/** The same JSON with the invisible characters in its texts escaped the JSON way. */
export function escapeJson(json: string): string {
  // One escape for each UTF-16 unit: JSON has no other.
  const unitAt = (character: string, i: number) => character.charCodeAt(i).toString(16).padStart(4, '0')
  return json.replace(HIDDEN, (character) =>
    Array.from({ length: character.length }, (_, i) => `\\u${unitAt(character, i)}`).join(''),
  )
}
