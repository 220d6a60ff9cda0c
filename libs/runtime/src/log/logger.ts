/**
 * The log of a process: one JSON line per event on stderr (stdout belongs to what a program prints), secrets masked.
 *
 * Masking, and the escaping of what a host or a caller may have hidden in a text, work on the finished line, so they
 * cover messages, nested fields, error texts and stacks alike. Callers choose the fields to log; what is logged of an
 * error is decided here (logged-error.ts).
 */
import { escapeControl, escapeJson, escapeLine } from '@muster/contract'
import { type Logger, destination as openDestination, pino } from 'pino'
import { z } from 'zod'
import { describeError } from './logged-error.ts'
import { leaveOutRepeated } from './repeated-lines.ts'
import { SecretScrubber } from './secret-scrubber.ts'

/** A logger of pino. */
export type { Logger } from 'pino'

/** How much is logged. Each level includes those after it. */
export const LogLevel = z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
export type LogLevel = z.infer<typeof LogLevel>

/** Options of {@link createLogger}. */
export interface LoggerOptions {
  /** Which program speaks; a field of every line. */
  name: string
  level: LogLevel
  /** Lines for people instead of JSON. Default false. */
  pretty?: boolean
  /** The secrets to mask; the caller may add to them later. Default: none. */
  secrets?: SecretScrubber
  /** A file to which every line is appended as well. Default: none. */
  file?: string | undefined
  /** The least time between two equal lines, from level `warn` on. Default 30,000. */
  repeatEveryMs?: number
  /** Where finished lines go. Default: stderr, written at once so that the last words of a dying process are kept. */
  write?: (line: string) => void
}

/**
 * A pino logger that masks secrets. Errors may be logged as `err` or `error`, or as the first argument. A warning or
 * error that repeats is written every 30 s; its field `repeated` says how often it was left out.
 */
export function createLogger(options: LoggerOptions): Logger {
  const secrets = options.secrets ?? new SecretScrubber()
  const writeFirst = options.write ?? streamWriter(2)
  const writeSecond = options.file === undefined ? () => {} : streamWriter(options.file)
  const write = (line: string) => {
    writeFirst(line)
    writeSecond(line)
  }
  const finish = options.pretty === true ? toReadableLine : escapeJson
  return pino(
    {
      name: options.name,
      level: options.level,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError, error: describeError },
      hooks: { logMethod: leaveOutRepeated(options.repeatEveryMs) },
    },
    { write: (line: string) => write(`${finish(secrets.scrubJson(line.trimEnd()))}\n`) },
  )
}

function streamWriter(dest: number | string): (line: string) => void {
  const stream = openDestination({ dest, sync: true, append: true, mkdir: typeof dest === 'string' })
  return (line) => {
    stream.write(line)
  }
}

const Line = z.looseObject({
  level: z.string(),
  time: z.string(),
  name: z.string(),
  msg: z.string().optional(),
  err: z
    .looseObject({ stack: z.string().optional(), cause: z.looseObject({ stack: z.string().optional() }).optional() })
    .optional(),
})

/** `12:30:01.123 INFO  server: listening url="http://…"`, with an error's stack below. */
function toReadableLine(json: string): string {
  const parsed = Line.safeParse(JSON.parse(json))
  if (!parsed.success) return escapeJson(json)
  const { level, time, name, msg = '', err, pid: _pid, hostname: _hostname, ...fields } = parsed.data
  const shown = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`)
  // Indented, as no line of the log is: the text of an error may have several lines.
  const stacks = [err?.stack, err?.cause?.stack].flatMap((text) => (text === undefined ? [] : [`\n${text}`])).join('')
  const line = `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${name}: ${msg}${shown.join('')}`
  return `${escapeLine(line)}${escapeControl(stacks).replace(/\n(?! )/g, '\n    ')}`
}
