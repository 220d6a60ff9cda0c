/**
 * Keeps a number of equal processes running. One that ends is started again, after longer and longer pauses if it never
 * lives long.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { ChildFailed, describeExit, type RunningProcess } from './child-process.ts'
import type { Life } from './run-process.ts'

/** What to keep running. */
export interface KeepRunningOptions {
  /** Names one of them to people: "worker". */
  name: string
  count: number
  /** Starts one and resolves when it is ready. */
  start: () => Promise<RunningProcess>
  /** The life of this process; its end stops them all. */
  life: Life
  /** How long it may take to stop all of them. */
  stopTimeoutMs: number
  say: (line: string) => void
}

/** Processes that are kept running. */
export interface KeptProcesses {
  /** Signals all of them and does not wait. */
  signal: (signal: NodeJS.Signals) => void
}

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000
/** A process that has lived this long was healthy: the next pause is short again. */
const WELL_AFTER_MS = 60_000

/** Starts the processes. Resolves when all are ready; rejects when one of them does not start. */
export async function keepRunning(options: KeepRunningOptions): Promise<KeptProcesses> {
  const { name, count, start, life, stopTimeoutMs, say } = options
  const running = new Set<RunningProcess>()
  life.closers.add(
    `${name}s`,
    async () => {
      await Promise.all([...running].map((one) => one.stop()))
    },
    stopTimeoutMs,
  )
  const startOne = async (): Promise<RunningProcess> => {
    const one = await start()
    running.add(one)
    return one
  }
  const replace = async (first: RunningProcess): Promise<void> => {
    let pauseMs = FIRST_PAUSE_MS
    for (let current: RunningProcess | undefined = first; ; ) {
      if (current !== undefined) {
        const startedMs = performance.now()
        const exit = await current.exited
        running.delete(current)
        if (life.ending.aborted) return
        if (performance.now() - startedMs > WELL_AFTER_MS) pauseMs = FIRST_PAUSE_MS
        say(`A ${name} ended (${describeExit(exit)}); starting another.`)
      }
      await sleep(pauseMs, undefined, { signal: life.ending })
      pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)
      current = await startOne().catch((error: unknown) => {
        const why = error instanceof ChildFailed ? error.news : String(error)
        if (!life.ending.aborted) say(`A ${name} did not start; trying again: ${why}`)
        return undefined
      })
    }
  }
  const started = await Promise.all(Array.from({ length: count }, startOne))
  for (const one of started) {
    replace(one).catch((error: unknown) => {
      if (!life.ending.aborted) life.fail(error)
    })
  }
  return {
    signal: (signal) => {
      for (const { pid } of running) {
        try {
          process.kill(pid, signal)
        } catch {
          // It has ended meanwhile.
        }
      }
    },
  }
}
