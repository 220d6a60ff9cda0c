/**
 * The embedded stack as a process of its own, seen from `muster mcp`. Clients kill their servers without ado; a process of
 * its own then still ends in order: its workers finish or hand over what they run, and Redis goes last.
 */
import { fileURLToPath } from 'node:url'
import { type Environment, type RunningProcess, startProcess } from '@muster/runtime'
import { z } from 'zod'

const MUSTER = fileURLToPath(new URL('../../bin/muster.js', import.meta.url))

/** The command under which `muster` runs the stack for `muster mcp`. It is no command for people. */
export const STACK_COMMAND = 'mcp-stack'

/** What the process tells once: that it is up, or why it is not. `isInUse`: another Muster uses the data directory. */
export const StackStart = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('up'), url: z.string() }),
  z.object({ kind: z.literal('refused'), text: z.string(), isInUse: z.boolean() }),
])
export type StackStart = z.infer<typeof StackStart>

/** The stack of one bridge: started when it is needed, any number of times, one at a time. */
export type StackProcess = {
  /** Never rejects. While it is starting, everybody gets the same answer. */
  start(): Promise<StackStart>
  /** Ends it in order. May be called again. */
  stop(): Promise<void>
}

/** A package manager takes its time. */
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
    // One whose server has gone is on its way out.
    await current?.exited
    const child = await startProcess({
      name: 'the embedded stack',
      command: process.execPath,
      args: [MUSTER, STACK_COMMAND, ...(allowInstall ? ['--install'] : [])],
      env,
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
        .then((outcome) => {
          // That another client brings it up is nothing to tell.
          if (outcome.kind === 'refused' && !outcome.isInUse) say(outcome.text)
          return outcome
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
