/**
 * Runs a program to its end for its answer: the question on its standard input, the answer on its standard output.
 *
 * The program gets nothing else of ours: a short environment, no working directory of its own choice, no terminal. It
 * has a deadline and a bounded answer; whatever it has started in its process group ends with it.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Environment } from '../config/config.ts'
import { describeExit, exitOf, killGroup } from './child-process.ts'

/** What it says on standard error is for a line of the log. */
const COMPLAINTS_LIMIT_BYTES = 4_096
/** How long a killed program may take to be gone: one that waits for a dead disk takes no signal. */
const KILLED_MS = 1_000

/** What to run, and what to ask it. */
export interface ProgramQuestion {
  /** The path of the program. */
  file: string
  /** What the program is called there, if `file` is where that name leads. */
  calledAs: string
  args: readonly string[]
  /** The whole environment; nothing is inherited. */
  env: Environment
  /** The whole standard input. */
  question: string
  timeoutMs: number
  answerLimitBytes: number
}

/** What it printed. `complaints` is its standard error, as far as it is kept. */
export type ProgramAnswer = { readonly answer: Buffer; readonly complaints: string } & (
  | { readonly ok: true }
  /** `why` completes "the program …": "ended with status 2". */
  | { readonly ok: false; readonly why: string }
)

/** Runs the program and resolves when it has ended. Whatever happens to it is a value. */
export async function askProgram(options: ProgramQuestion): Promise<ProgramAnswer> {
  const { file, calledAs, args, env, question, timeoutMs, answerLimitBytes } = options
  let child: ChildProcessWithoutNullStreams
  try {
    child = spawn(file, args, { argv0: calledAs, cwd: '/', env: { ...env }, detached: true, stdio: 'pipe' })
  } catch (error) {
    // Node throws some errors of the system and emits others.
    return notStarted(error)
  }
  const { pid } = child
  if (pid === undefined) {
    const [error]: unknown[] = await once(child, 'error')
    return notStarted(error)
  }
  const ended = exitOf(child)
  const stopped = new AbortController()
  let why: string | undefined
  const stop = (cause: string) => {
    why ??= cause
    killGroup(pid)
    stopped.abort()
  }
  const timer = setTimeout(stop, timeoutMs, `gave no answer within ${timeoutMs / 1_000} s and was killed`)
  const answer = keep(child.stdout, answerLimitBytes, () => stop(`printed more than ${answerLimitBytes} bytes`))
  const complaints = keep(child.stderr, COMPLAINTS_LIMIT_BYTES, () => {})
  // A program that ends without reading is no trouble: its end tells.
  child.stdin.on('error', () => {})
  child.stdin.end(question)
  const exit = await Promise.race([ended, goneAfter(stopped.signal)])
  clearTimeout(timer)
  killGroup(pid)
  if (exit?.code !== 0) why ??= exit === undefined ? 'does not end' : `ended ${describeExit(exit)}`
  const printed = { answer: answer(), complaints: complaints().toString() }
  return why === undefined ? { ok: true, ...printed } : { ok: false, why, ...printed }
}

function notStarted(error: unknown): ProgramAnswer {
  const code = error instanceof Error && 'code' in error ? error.code : error
  return { ok: false, why: `could not be started (${String(code)})`, answer: Buffer.alloc(0), complaints: '' }
}

/** Reads a stream to its end and keeps the beginning; `onMore` when it has more. */
function keep(stream: Readable, limitBytes: number, onMore: () => void): () => Buffer {
  const kept: Buffer[] = []
  let room = limitBytes
  stream.on('data', (bytes: Buffer) => {
    if (bytes.length > room) onMore()
    kept.push(bytes.subarray(0, room))
    room -= Math.min(room, bytes.length)
  })
  return () => Buffer.concat(kept)
}

/** Resolves some time after the signal. */
async function goneAfter(signal: AbortSignal): Promise<undefined> {
  if (!signal.aborted) await once(signal, 'abort')
  await sleep(KILLED_MS, undefined, { ref: false })
}
