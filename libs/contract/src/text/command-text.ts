/**
 * The texts of a command: how long each may be, in bytes, and what it must not contain in order to arrive exactly as
 * given. `script-text.ts` checks how a script begins.
 */
import { z } from 'zod'

/** Longest command, argument or variable that Linux takes (execve(2): 32 pages with the final NUL). */
export const WORD_LIMIT_BYTES = 128 * 1024 - 1
/** Most bytes of all arguments, or of all variables, together; Linux takes about twice as much (execve(2)). */
const WORDS_LIMIT_BYTES = 1024 * 1024
/** Longest script, and longest stdin. Larger data is copied to the hosts by other means. */
export const INPUT_LIMIT_BYTES = 16 * 1024 * 1024
/** One byte takes at most this many in JSON: a control character is written `\u0001`. */
const BYTES_OF_A_BYTE = 6
/** Longest body of a submit: whatever keeps to the limits above fits, however it is escaped. */
export const SUBMIT_BODY_LIMIT_BYTES = BYTES_OF_A_BYTE * (2 * INPUT_LIMIT_BYTES + 3 * WORDS_LIMIT_BYTES)

const NUL = 'must not contain a NUL character'
const noNul = (text: string) => !text.includes('\0')

/** Half of a surrogate pair has no bytes of its own, and would arrive as another character. */
const exact = z
  .string()
  .refine((text) => text.isWellFormed(), 'holds half of a character, a surrogate without its pair')

/** What a command is given on stdin. */
export const InputText = exact.refine(isWithin(INPUT_LIMIT_BYTES), tooLong(INPUT_LIMIT_BYTES))
/** A script: text that an interpreter reads. */
export const ScriptText = InputText.min(1)
/** A command, an argument, a directory. */
export const WordText = exact.refine(isWithin(WORD_LIMIT_BYTES), tooLong(WORD_LIMIT_BYTES)).refine(noNul, NUL)
/** The arguments of a program. */
export const Words = z
  .array(WordText)
  .max(1_000)
  .refine(areWithin, `all together ${tooLong(WORDS_LIMIT_BYTES)}`)
/** Environment variables. To Linux, name and value are one text. */
export const Environment = z
  .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'a variable name has letters, digits and "_"'), WordText)
  .refine((given) => Object.entries(given).every(([name, value]) => isWithin(WORD_LIMIT_BYTES)(`${name}=${value}`)), {
    message: `a variable with its name is ${tooLong(WORD_LIMIT_BYTES)}`,
  })
  .refine((given) => areWithin(Object.entries(given).flat()), `all together ${tooLong(WORDS_LIMIT_BYTES)}`)

function isWithin(bytes: number): (text: string) => boolean {
  return (text) => Buffer.byteLength(text) <= bytes
}

function areWithin(texts: readonly string[]): boolean {
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) <= WORDS_LIMIT_BYTES
}

function tooLong(bytes: number): string {
  return `longer than ${bytes} bytes`
}
