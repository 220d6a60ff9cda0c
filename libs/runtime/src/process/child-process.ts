/**
 * Child processes with a beginning and an end: started until ready, stopped within a deadline, never left behind.
 *
 * A child gets its own process group, so that Ctrl-C in the terminal reaches only this process, which then stops its
 * children in order. A child that dies is not restarted; `exited` reports it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { MusterError } from '@muster/contract'
import type { Environment } from '../config/config.ts'

const READY_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 10_000
/** How long to read output after the exit: a grandchild may hold the pipe open for ever. */
const OUTPUT_TAIL_MS = 500
/** Enough to show why a child gave up, little enough for an error text. */
const KEPT_LINES = 20

/**
 * Runs a command and ends it when file descriptor 3 reaches its end, which happens when we close it, exit or are
 * killed. SIGTERM is passed on; the exit status is the command's. The watcher holds nothing else open.
 */
const DEAD_MAN_SCRIPT = `
child= ending=
trap 'ending=1; [ -z "$child" ] || kill -s TERM "$child"' TERM
exec 4<&0
"$@" <&4 3<&- 4<&- &
child=$!
[ -z "$ending" ] || kill -s TERM "$child"
exec 4<&- </dev/null
(while read -r _; do :; done; kill -s TERM "$child") <&3 >/dev/null 2>&1 &
watcher=$!
exec 3<&-
while :; do
  wait "$child"
  status=$?
  kill -s 0 "$child" 2>/dev/null || break
done
# A wait cut short by the trap answers 128+15, though the command may just have ended; 127 means there is no more news.
if [ -n "$ending" ]; then
  wait "$child"
  last=$?
  [ "$last" -eq 127 ] || status=$last
fi
kill "$watcher" 2>/dev/null
exit "$status"
`

/** How a process ended. Exactly one of the two is set. */
export interface Exit {
  code: number | undefined
  signal: NodeJS.Signals | undefined
}

/** What to start and when it counts as ready. */
export interface ProcessOptions {
  /** Names the process in errors. */
  name: string
  /**
   * A program on the PATH of `env`, or its path. For a script of ours: `process.execPath`, with the script as the first
   * argument.
   */
  command: string
  args: readonly string[]
  /** The whole environment of the child; nothing is inherited. */
  env: Environment
  /** The working directory. Default: ours. */
  cwd?: string
  /**
   * `spawned`: as soon as it runs. `message`: with its first IPC message (see runProcess), which also opens the IPC
   * channel. A pattern: with the first line of output that it matches.
   */
  ready: 'spawned' | 'message' | RegExp
  /** Default 30,000. */
  readyTimeoutMs?: number
  /** The time from SIGTERM to SIGKILL of the whole group. Default 10,000. */
  stopTimeoutMs?: number
  /** The whole standard input. Default: it is empty. */
  stdinText?: string
  /**
   * The child gets SIGTERM even if we are killed, from a small shell that watches a pipe to us. `pid` is then the
   * shell's. Not needed for programs that end when their IPC channel closes (runProcess). Default false.
   */
  diesWithParent?: boolean
  /** Gets every line of standard output and standard error. Default: lines are only kept for errors. */
  log?: (line: string) => void
  /** Aborts the start: the child is stopped, and the start rejects with the signal's reason. */
  signal?: AbortSignal
}

/** A child process that did not become ready. Its message ends with its last lines of output. */
export class ChildFailed extends MusterError {
  /** The message, without lines that `log` was given. */
  readonly news: string

  constructor(what: string, lines: readonly string[], { areShown }: { readonly areShown: boolean }) {
    const output =
      lines.length === 0 ? 'It printed nothing.' : `Its last lines:\n${lines.map((line) => `  ${line}`).join('\n')}`
    super('internal', `${what}. ${output}`)
    this.news = areShown && lines.length > 0 ? `${what}; its own lines say why` : this.message
  }
}

/** A child process that is ready. */
export interface RunningProcess {
  pid: number
  /** The first IPC message, or the line that matched; `undefined` with `ready: 'spawned'`. */
  readyValue: unknown
  /** Resolves when the process has ended, in whatever way. Never rejects. */
  exited: Promise<Exit>
  /** The last lines of its output, oldest first; at most 20. */
  lastLines: () => string[]
  /** SIGTERM, then after the deadline SIGKILL to its whole group; resolves when it has ended. May be called again. */
  stop: () => Promise<void>
}

/**
 * Starts a process and resolves when it is ready.
 * @throws {MusterError} `internal`, when it cannot be started
 * @throws {ChildFailed} when it ends early or is not ready in time
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const { name, readyTimeoutMs = READY_TIMEOUT_MS, stopTimeoutMs = STOP_TIMEOUT_MS, signal } = options
  signal?.throwIfAborted()
  const child = spawnChild(options)
  const { pid } = child
  if (pid === undefined) {
    const [error]: unknown[] = await once(child, 'error').catch((cause: unknown) => [cause])
    throw new MusterError('internal', `${name} could not be started: ${options.command}: ${String(error)}`, {
      cause: error,
    })
  }
  const lines: string[] = []
  const failure = (what: string) => new ChildFailed(`${name} ${what}`, lines, { areShown: options.log !== undefined })
  const exited = exitOf(child)
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    const timer = setTimeout(killGroup, stopTimeoutMs, pid)
    await exited
    clearTimeout(timer)
  }

  let cancelWait = (): void => undefined
  try {
    const readyValue = await new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => reject(failure(`was not ready within ${readyTimeoutMs} ms`)), readyTimeoutMs)
      const onAbort = (): void => reject(signal?.reason)
      cancelWait = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const onLine = (line: string): void => {
        lines.push(line)
        if (lines.length > KEPT_LINES) lines.shift()
        options.log?.(line)
        if (options.ready instanceof RegExp && options.ready.test(line)) resolve(line)
      }
      readLines(child.stdout, onLine)
      readLines(child.stderr, onLine)
      signal?.addEventListener('abort', onAbort, { once: true })
      if (options.ready === 'message') child.once('message', resolve)
      if (options.ready === 'spawned') resolve(undefined)
      exited.then((exit) => reject(failure(`ended early, ${describeExit(exit)}`)), reject)
    })
    return { pid, readyValue, exited, lastLines: () => [...lines], stop }
  } catch (error) {
    await stop()
    throw error
  } finally {
    cancelWait()
  }
}

/** How a process ended, in words: `with status 1` or `by SIGKILL`. */
export function describeExit({ code, signal }: Exit): string {
  return signal === undefined ? `with status ${code}` : `by ${signal}`
}

function spawnChild({
  command,
  args,
  env,
  cwd,
  ready,
  stdinText,
  diesWithParent = false,
}: ProcessOptions): ChildProcess {
  const stdin = stdinText === undefined ? 'ignore' : 'pipe'
  const child = spawn(
    diesWithParent ? '/bin/sh' : command,
    diesWithParent ? ['-c', DEAD_MAN_SCRIPT, 'sh', command, ...args] : args,
    {
      cwd,
      env: { ...env },
      detached: true,
      stdio: [stdin, 'pipe', 'pipe', diesWithParent ? 'pipe' : 'ignore', ready === 'message' ? 'ipc' : 'ignore'],
    },
  )
  // The exit reports a child that ends without reading its input; the broken pipe is no further news.
  for (const stream of [child.stdin, child.stdio[3]]) stream?.on('error', () => undefined)
  child.stdin?.end(stdinText)
  return child
}

/** Resolves once the process has ended and its output has been read. */
export async function exitOf(child: ChildProcess): Promise<Exit> {
  const closed = once(child, 'close')
  const exit = await new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }))
    // A signal or message could not be delivered; the exit is still to come.
    child.on('error', () => undefined)
  })
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, OUTPUT_TAIL_MS)
  })
  await Promise.race([closed, enough])
  clearTimeout(timer)
  for (const stream of child.stdio) stream?.destroy()
  return exit
}

/** SIGKILL to all that is left of a process group. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It is gone already, as it should be.
  }
}

function readLines(stream: Readable | Writable | null, onLine: (line: string) => void): void {
  if (stream === null || !('read' in stream)) return
  createInterface({ input: stream }).on('line', onLine)
}
