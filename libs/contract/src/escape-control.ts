/**
 * Untrusted text made safe to show: characters that move a cursor, change the terminal, reorder text or hide in it are
 * written out as escapes. Newline and tab stay.
 *
 * It does not shorten, and it does not judge what the text says.
 */

/**
 * C0 but newline and tab, DEL, C1; zero-width and bidi controls (Unicode TR36); invisible "tag" characters, which can
 * carry text that only a language model sees. By number, so that this file itself stays plain text.
 */
const HIDDEN: ReadonlyArray<readonly [from: number, to: number]> = [
  [0x00, 0x08],
  [0x0b, 0x1f],
  [0x7f, 0x9f],
  [0x061c, 0x061c],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x2064],
  [0x2066, 0x2069],
  [0xfeff, 0xfeff],
  [0xe0000, 0xe007f],
]

const PATTERN = new RegExp(
  `[${HIDDEN.map(([from, to]) => `\\u{${from.toString(16)}}-\\u{${to.toString(16)}}`).join('')}]`,
  'gu',
)

/** The text with every control and invisible character written as `\x1b`, `\u200b` or `\u{e0001}`. */
export function escapeControl(text: string): string {
  return text.replace(PATTERN, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16)
    if (code.length <= 2) return `\\x${code.padStart(2, '0')}`
    return code.length <= 4 ? `\\u${code.padStart(4, '0')}` : `\\u{${code}}`
  })
}
