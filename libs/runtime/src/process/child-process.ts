/**
 * Child processes with a beginning and an end: started until ready, stopped within a deadline, never left behind.
 *
 * A child gets its own process group, so that Ctrl-C in the terminal reaches only this process, which then stops its
 * children in order. It is not restarted when it dies; `exited` tells.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { MusterError } from '@muster/contract'
import type { Environment } from '../config/config.ts'

const READY_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 10_000
/** After the exit, output still in the pipe is read for so long: a grandchild may hold the pipe open for ever. */
const OUTPUT_TAIL_MS = 500
/** Enough to show why a child gave up, little enough for an error text. */
const KEPT_LINES = 20

/**
 * Runs a command and ends it when file descriptor 3 reaches its end, which happens when we close it, exit or are
 * killed. SIGTERM is passed on; the exit status is the command's. The watcher is given nothing else to hold open.
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
# A wait that the trap cut short told 128+15, though the command may just have ended; 127: nothing left to tell.
if [ -n "$ending" ]; then
  wait "$child"
  last=$?
  [ "$last" -eq 127 ] || status=$last
fi
kill "$watcher" 2>/dev/null
exit "$status"
`

/** How a process ended: one of the two is set. */
export interface Exit {
  code: number | undefined
  signal: NodeJS.Signals | undefined
}

/** What to start and when it counts as ready. */
export interface ProcessOptions {
  /** For people: names the process in errors. */
  name: string
  /** A program on the PATH of `env`, or its path. For a script of ours: `process.execPath` with the script as first argument. */
  command: string
  args: readonly string[]
  /** The whole environment of the child; nothing is inherited. */
  env: Environment
  /** Default: ours. */
  cwd?: string
  /**
   * `spawned`: as soon as it runs. `message`: with its first IPC message (see runProcess), which also opens the IPC
   * channel. A pattern: with the first line of output that it matches.
   */
  ready: 'spawned' | 'message' | RegExp
  /** Default 30,000. */
  readyTimeoutMs?: number
  /** From SIGTERM to SIGKILL of the whole group. Default 10,000. */
  stopTimeoutMs?: number
  /** Written to the standard input, which then ends. Default: the standard input is empty. */
  stdinText?: string
  /**
   * SIGTERM reaches the child even if we are killed, through a small shell that watches a pipe from us. Not needed
   * for programs that end when their IPC channel closes (runProcess). `pid` is then the shell's. Default false.
   */
  diesWithParent?: boolean
  /** Gets every line of standard output and standard error. Default: they are only kept for errors. */
  log?: (line: string) => void
  /** Gives up starting: the child is stopped and the start rejects with the signal's reason. */
  signal?: AbortSignal
}

/** A child process that is ready. */
export interface RunningProcess {
  pid: number
  /** The first IPC message, or the line that matched; `undefined` with `ready: 'spawned'`. */
  readyValue: unknown
  /** Resolves when the process has ended, however it did. Never rejects. */
  exited: Promise<Exit>
  /** The last lines of its output, oldest first; at most 20. */
  lastLines: () => string[]
  /** SIGTERM, then after the deadline SIGKILL to its whole group; resolves when it has ended. May be called again. */
  stop: () => Promise<void>
}

/**
 * Starts a process and resolves when it is ready.
 * @throws {MusterError} `internal` when it cannot be started, ends early or is not ready in time; with its last output lines.
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
      const timer = setTimeout(
        () => reject(failure(name, `was not ready within ${readyTimeoutMs} ms`, lines)),
        readyTimeoutMs,
      )
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
      exited.then((exit) => reject(failure(name, `ended early, ${describeExit(exit)}`, lines)), reject)
    })
    return { pid, readyValue, exited, lastLines: () => [...lines], stop }
  } catch (error) {
    await stop()
    throw error
  } finally {
    cancelWait()
  }
}

/** `with status 1` or `by SIGKILL`. */
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
  // A child that ends without reading its input is reported by its exit, not by the broken pipe.
  for (const stream of [child.stdin, child.stdio[3]]) stream?.on('error', () => undefined)
  child.stdin?.end(stdinText)
  return child
}

/** Resolves once the process has ended and its output has been read. */
async function exitOf(child: ChildProcess): Promise<Exit> {
  const closed = once(child, 'close')
  const exit = await new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }))
    // A signal or message that cannot be delivered; the exit itself is still to come.
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

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Already gone: what was wanted.
  }
}

function readLines(stream: Readable | Writable | null, onLine: (line: string) => void): void {
  if (stream === null || !('read' in stream)) return
  createInterface({ input: stream }).on('line', onLine)
}

function failure(name: string, what: string, lines: readonly string[]): MusterError {
  const output =
    lines.length === 0 ? 'It printed nothing.' : `Its last lines:\n${lines.map((line) => `  ${line}`).join('\n')}`
  return new MusterError('internal', `${name} ${what}. ${output}`)
}
