/**
 * A program that leads to a host: what ssh would say to the host goes to its standard input, and the host's answers
 * come from its standard output. It gets no shell and no environment of ours, and ends with the connection.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { basename } from 'node:path'
import { Duplex } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { printable } from '../verdict/failure.ts'
import type { SshHost } from './connection.ts'
import type { Route } from './log-in.ts'

/** What it says on standard error is for one sentence. */
const COMPLAINTS_LIMIT_CHARS = 500
/** How long a program may take to end by itself when it has been asked to. */
const END_MS = 1_000
/** How long after the end of its output its exit may come. */
const EXIT_MS = 500

/** The way to a host through a program, and what became of it. */
export type ProxyRoute = Route & {
  /** How the program ended, and what it said on standard error. Undefined: it runs, also some time after its output. */
  end(): Promise<string | undefined>
}

/** Starts the program of a host. Whatever happens to it is told by `end`. */
export function openProxy({ file, argv, env }: NonNullable<SshHost['proxy']>): ProxyRoute {
  const [program, ...args] = argv
  const child = spawn(file, args, { argv0: program, cwd: '/', env: { ...env }, detached: true, stdio: 'pipe' })
  let ended: string | undefined
  let complaints = ''
  child.on('error', (error) => {
    ended = `could not be started: ${error.message}`
  })
  child.on('exit', (code, signal) => {
    ended ??= signal === null ? `ended with status ${code}` : `was ended by ${signal}`
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints = `${complaints}${text}`.slice(0, COMPLAINTS_LIMIT_CHARS)
  })
  const exited = new Promise((resolve) => child.on('close', resolve).on('error', resolve))
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin })
  return {
    stream,
    address: () => null,
    destroy: () => stop(stream, child),
    end: async () => {
      await Promise.race([exited, setTimeout(EXIT_MS, undefined, { ref: false })])
      const said = printable(complaints.trim())
      return ended && `the proxy command ${basename(program)} ${ended}${said === '' ? '' : `: ${said}`}`
    },
  }
}

/** Ends the program, and whatever it has started in its process group. */
function stop(stream: Duplex, child: ChildProcessWithoutNullStreams): void {
  stream.destroy()
  const { pid } = child
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  signalGroup(pid, 'SIGTERM')
  void setTimeout(END_MS, undefined, { ref: false }).then(() => signalGroup(pid, 'SIGKILL'))
}

function signalGroup(pid: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It is gone already, as it should be.
  }
}
