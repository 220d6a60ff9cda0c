/**
 * A process that is killed, stopped and started again at will, as a supervisor of a real system would start it again:
 * also when it ended by itself, and as often as it takes.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunningProcess } from '@muster/runtime'

const RETRY_MS = 300
/** A process that cannot be started in this time never will. */
const GIVE_UP_MS = 90_000

/** One process of the system under test. */
export class Supervised {
  readonly name: string
  readonly #start: () => Promise<RunningProcess>
  readonly #say: (line: string) => void
  #child: RunningProcess | undefined
  #isWanted = true

  /** Starts nothing yet. */
  constructor(name: string, start: () => Promise<RunningProcess>, say: (line: string) => void) {
    this.name = name
    this.#start = start
    this.#say = say
  }

  /**
   * Starts it; resolves when it is ready.
   * @throws the last failure, after trying for long
   */
  async up(): Promise<void> {
    const giveUpMs = performance.now() + GIVE_UP_MS
    while (this.#isWanted) {
      try {
        const child = await this.#start()
        this.#child = child
        this.#watch(child)
        return
      } catch (error) {
        if (performance.now() > giveUpMs) throw error
        await sleep(RETRY_MS)
      }
    }
  }

  /** Ends it with this signal, and starts it again after so long; `meanwhile` runs in between. */
  async restart(signal: 'SIGKILL' | 'SIGTERM', awayMs: number, meanwhile?: () => Promise<void>): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child !== undefined) {
      if (signal === 'SIGTERM') await child.stop()
      else this.#signal(child, signal)
      await child.exited
    }
    await meanwhile?.()
    await sleep(awayMs)
    await this.up()
  }

  /** Stops it in its tracks for so long: it runs no instruction, and its connections stay. */
  async freeze(forMs: number): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    this.#signal(child, 'SIGSTOP')
    try {
      await sleep(forMs)
    } finally {
      this.#signal(child, 'SIGCONT')
    }
  }

  /** Ends it for good. */
  async close(): Promise<void> {
    this.#isWanted = false
    const child = this.#child
    this.#child = undefined
    if (child === undefined) return
    this.#signal(child, 'SIGCONT')
    this.#signal(child, 'SIGKILL')
    await child.exited
  }

  #watch(child: RunningProcess): void {
    child.exited.then(async ({ code, signal }) => {
      if (this.#child !== child) return
      this.#child = undefined
      this.#say(`${this.name} ended by itself (${code ?? signal}): ${child.lastLines().slice(-3).join(' | ')}`)
      await this.up()
    }, this.#fail)
  }

  readonly #fail = (error: unknown) => this.#say(`${this.name} stays away: ${String(error)}`)

  #signal(child: RunningProcess, signal: NodeJS.Signals): void {
    try {
      // The whole group: what was started with a shell around it, too.
      process.kill(-child.pid, signal)
    } catch {
      // It has ended meanwhile.
    }
  }
}
