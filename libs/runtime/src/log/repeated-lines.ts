/**
 * Keeps lasting trouble from filling the log: a warning or error that is logged again and again is written at once, and
 * then once in a while, with how often it was left out.
 *
 * Two lines are equal when their text, their fields and their error are, apart from words with a digit in the error's
 * message.
 */
import type { LogFn, Logger } from 'pino'
import { z } from 'zod'
import { describeError } from './logged-error.ts'

/** The least time between two equal lines. */
const QUIET_MS = 30_000
/** How many different lines are remembered; the oldest are forgotten first. */
const MOST_LINES = 1_000
/** Levels of pino from `warn` on; a `fatal` line is the last word of a process. */
const WARN = 40
const FATAL = 60

const Fields = z.record(z.string(), z.unknown())

/** A line to write. */
type Line = { readonly fields: Record<string, unknown>; readonly text: string }

/** The `logMethod` for pino's hooks: passes on the lines to write, and leaves out the others. */
export function leaveOutRepeated(quietMs = QUIET_MS) {
  /** How often each line was left out since it was last written. */
  const leftOut = new Map<string, number>()
  return function logMethod(this: Logger, args: Parameters<LogFn>, write: LogFn, level: number): void {
    const line = lineOf(args)
    if (line === undefined || level < WARN || level >= FATAL) {
      write.apply(this, args)
      return
    }
    const key = `${level} ${keyOf(line)}`
    const count = leftOut.get(key)
    if (count !== undefined) {
      leftOut.set(key, count + 1)
      return
    }
    const [oldest] = leftOut.keys()
    if (leftOut.size >= MOST_LINES && oldest !== undefined) leftOut.delete(oldest)
    const writeAndWait = (repeated: number) => {
      leftOut.set(key, 0)
      write.call(this, repeated === 0 ? line.fields : { ...line.fields, repeated }, line.text)
      setTimeout(() => {
        const missed = leftOut.get(key) ?? 0
        if (missed === 0) leftOut.delete(key)
        else writeAndWait(missed)
      }, quietMs).unref()
    }
    writeAndWait(0)
  }
}

/** The line in the arguments of a log call; undefined for a form of call that we do not use. */
function lineOf([first, second]: readonly unknown[]): Line | undefined {
  if (typeof first === 'string') return second === undefined ? { fields: {}, text: first } : undefined
  const fields = first instanceof Error ? { err: first } : Fields.safeParse(first).data
  if (fields === undefined) return undefined
  if (typeof second === 'string') return { fields, text: second }
  // Without a text, the message of the error is the text.
  return second === undefined ? { fields, text: describeError(fields.err ?? fields.error).message } : undefined
}

function keyOf({ fields, text }: Line): string {
  const parts = Object.entries(fields).map(([name, value]) => {
    if (value instanceof Error) return `${value.name} ${value.message.split(' ').map(withoutNumber).join(' ')}`
    return typeof value === 'object' ? name : `${name} ${String(value)}`
  })
  return JSON.stringify([text, ...parts])
}

function withoutNumber(word: string): string {
  return /\d/.test(word) ? '#' : word
}
