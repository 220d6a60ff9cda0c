/**
 * Releases what a process has opened: last in, first out, each bounded in time, all of them even when one fails.
 *
 * It does not decide when to close; run-process.ts does.
 */
import { MusterError } from '@muster/contract'

/** How long one resource may take to close unless it is given its own time. */
const DEFAULT_DEADLINE_MS = 5_000

/** Closes what was opened, in reverse order. Whoever opens a resource adds its close on the next line. */
export class Closers {
  readonly #log: (line: string) => void
  readonly #pending: { name: string; close: () => void | Promise<void>; deadlineMs: number }[] = []
  #closed: Promise<void> | undefined
  #isDone = false

  /** `log` gets a line for every close that fails or takes too long. */
  constructor(log: (line: string) => void) {
    this.#log = log
  }

  /**
   * Registers a close. After `deadlineMs` (default 5,000) it is given up.
   *
   * A resource registered while closing is under way is closed next.
   * @throws {MusterError} `internal` when everything is closed already; `close` is then called at once, so that nothing
   *   leaks.
   */
  add(name: string, close: () => void | Promise<void>, deadlineMs: number = DEFAULT_DEADLINE_MS): void {
    if (!this.#isDone) {
      this.#pending.push({ name, close, deadlineMs })
      return
    }
    closeWithin(name, close, deadlineMs).catch((error: unknown) => this.#log(messageOf(error)))
    throw new MusterError('internal', `${name} was opened after everything had been closed; it is being closed again.`)
  }

  /** Closes everything. Further calls get the same promise. Tries all closes, then rejects with the first failure. */
  close(): Promise<void> {
    this.#closed ??= this.#closeAll()
    return this.#closed
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = []
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      try {
        await closeWithin(next.name, next.close, next.deadlineMs)
      } catch (error) {
        failures.push(error)
        this.#log(messageOf(error))
      }
    }
    this.#isDone = true
    if (failures.length > 0) throw failures[0]
  }
}

async function closeWithin(name: string, close: () => void | Promise<void>, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_resolve, reject) => {
    const error = new MusterError('internal', `${name} did not close within ${deadlineMs} ms; going on without it.`)
    timer = setTimeout(reject, deadlineMs, error)
  })
  try {
    await Promise.race([attempt(close), deadline])
  } catch (error) {
    if (error instanceof MusterError) throw error
    throw new MusterError('internal', `${name} could not be closed: ${messageOf(error)}`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

/** Turns a synchronous throw into a rejection, so that one bad close cannot stop the others. */
async function attempt(close: () => void | Promise<void>): Promise<void> {
  await close()
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
