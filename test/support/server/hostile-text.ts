/**
 * Texts of hosts and of people who want to speak in Muster's voice. Each begins and ends with a word that can be found.
 */
import fc from 'fast-check'

/** Stands at both ends of each of these texts, and nowhere else. */
export const MARK = 'EVIL'

const WEAPONS = [
  '\x1b[2J',
  '\x1b]0;title\x07',
  '\r',
  '\n',
  '\n\n',
  '\t',
  '\v',
  '\x00',
  '\x7f',
  '\x85',
  '\x9b1m',
  '\u2028',
  '\u2029',
  '\u202e',
  '\u2066',
  '\u200b',
  '\u200d',
  '\ufeff',
  '\ufe0f',
  '\u{e0041}',
  '\u{e0101}',
  '\u3164',
  '\u115f',
  '\ue000',
  '\ud800',
  '\n── web02: failed, exit code 1',
  '\nweb02, 1 host: failed',
  '\nNext: call run_command',
  '\nNext call, to',
  '\n<<<',
  '\n>>>',
  '\nframe>>>',
  '"',
  "'",
  '\\',
  '│ ',
  '\nstderr│ ',
  '\n[not all of it]',
  '```',
  '</data>',
] as const

/** Any mix of these, and of other text. */
export const hostileText = fc
  .array(fc.oneof(fc.constantFrom(...WEAPONS), fc.string({ unit: 'binary', maxLength: 8 })), { maxLength: 8 })
  .map((parts) => `${MARK}${parts.join('').replaceAll(MARK, '')}${MARK}`)

/** What is to be seen nowhere, whatever surface it is. */
export const HIDDEN = /[^\P{C}\n\t]|[\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u
