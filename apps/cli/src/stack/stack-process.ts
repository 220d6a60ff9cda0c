/**
 * The embedded stack as a separate process, seen from `muster mcp`. Clients kill their servers without warning; a
 * separate process then still ends in order: its workers finish or hand over their runs, and Redis goes last.
 */
import { fileURLToPath } from 'node:url'
import { AFTER_DRAIN_MS, type Environment, type RunningProcess, startProcess } from '@muster/runtime'
import { z } from 'zod'
import type { CliConfig } from '../client/config.ts'
import { stackEnvironment } from './part-environment.ts'

const MUSTER = fileURLToPath(new URL('../../bin/muster.js', import.meta.url))

/** The command by which `muster mcp` starts the stack. It is not for people. */
export const STACK_COMMAND = 'mcp-stack'

/** The one message of the process: it is up, or why it is not. `isInUse`: another Muster uses the data directory. */
export const StackStart = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('up'), url: z.string() }),
  z.object({ kind: z.literal('refused'), text: z.string(), isInUse: z.boolean() }),
])
export type StackStart = z.infer<typeof StackStart>

/** How long a server or a worker of the stack may take to stop, in milliseconds. */
export function partStopMs(config: CliConfig): number {
  return config.MUSTER_SHUTDOWN_GRACE_S * 1_000 + AFTER_DRAIN_MS
}

/** How long the whole stack may take to stop, in milliseconds. */
export function stackGraceMs(config: CliConfig): number {
  return partStopMs(config) + AFTER_DRAIN_MS
}

/** The stack of one bridge: started when needed, any number of times, one at a time. */
export type StackProcess = {
  /** Starts the stack. Never rejects. While it is starting, every caller gets the same answer. */
  start(): Promise<StackStart>
  /** Ends the stack in order. May be called again. */
  stop(): Promise<void>
}

/** Installing Redis takes a while. */
const INSTALL_READY_MS = 600_000
const READY_MS = 60_000

/** Prepares the stack; nothing runs yet. `ending` aborts a start. */
export function prepareStack(options: {
  readonly env: Environment
  readonly allowInstall: boolean
  readonly stopTimeoutMs: number
  readonly say: (line: string) => void
  readonly ending: AbortSignal
}): StackProcess {
  const { env, allowInstall, stopTimeoutMs, say, ending } = options
  let current: RunningProcess | undefined
  let starting: Promise<StackStart> | undefined

  const startOne = async (): Promise<StackStart> => {
    // A stack whose server is gone is about to end.
    await current?.exited
    const child = await startProcess({
      name: 'the embedded stack',
      command: process.execPath,
      args: [MUSTER, STACK_COMMAND, ...(allowInstall ? ['--install'] : [])],
      env: stackEnvironment(env),
      ready: 'message',
      readyTimeoutMs: allowInstall ? INSTALL_READY_MS : READY_MS,
      stopTimeoutMs,
      log: say,
      signal: ending,
    })
    current = child
    const { ready } = z.object({ ready: StackStart }).parse(child.readyValue)
    if (ready.kind === 'refused') await child.stop()
    return ready
  }

  return {
    start: () => {
      starting ??= startOne()
        .catch((error: unknown): StackStart => ({ kind: 'refused', text: textOf(error), isInUse: false }))
        .then((start) => {
          // If another client is starting one, there is nothing to report.
          if (start.kind === 'refused' && !start.isInUse) say(start.text)
          return start
        })
        .finally(() => {
          starting = undefined
        })
      return starting
    },
    stop: async () => {
      await starting
      await current?.stop()
    },
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
