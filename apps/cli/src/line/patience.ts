/**
 * Patience with a server that is away for a while because it or its Redis is restarting. Accepted jobs go on without
 * us, so all we have to do is ask again. This decides which faults are worth asking again, and for how long.
 *
 * It does not make asking again harmless: a request that changes something needs an idempotency key.
 */
import { MusterError } from '@muster/contract'
import { Refused } from '../client/client.ts'
import type { Cli } from './command.ts'

/** How long a server that has answered before may be away. */
export const PATIENCE_MS = 120_000
/** Between two tries. */
const AGAIN_AFTER_MS = 1_000

/** The server did not answer while we had patience. The job, if there is one, goes on. */
export class ServerAway extends Error {
  override readonly name = 'ServerAway'

  /** `advice` is what to do about it; `cause` is the last fault. */
  constructor(advice: string, cause: unknown) {
    super(`${cause instanceof Error ? cause.message : String(cause)}\n${advice}`, { cause })
  }
}

/** Patience with one server; its time starts again after every answer. */
export type Patience = {
  /** Tells that the server has answered. */
  answered(): void
  /**
   * Says once that the server is away, then waits until it is time to ask again.
   * @throws {ServerAway} when the server was away too long
   * @throws the fault itself when asking again would not help
   */
  endure(fault: unknown): Promise<void>
}

/** Makes patience that lasts `limitMs`. `advice` is shown when it runs out. */
export function createPatience(
  { say, interrupts }: Pick<Cli, 'say' | 'interrupts'>,
  { limitMs, advice }: { limitMs: number; advice: string },
): Patience {
  let sinceMs: number | undefined
  return {
    answered: () => {
      sinceMs = undefined
    },
    endure: async (fault) => {
      if (!isPassing(fault)) throw fault
      const isFirst = sinceMs === undefined
      sinceMs ??= performance.now()
      if (performance.now() - sinceMs >= limitMs) throw new ServerAway(advice, fault)
      if (isFirst) say(`[${fault.message}; asking again]`)
      await interrupts.sleep(AGAIN_AFTER_MS)
    },
  }
}

/**
 * Asks until there is an answer.
 * @throws what `endure` throws
 */
export async function untilAnswered<T>(patience: Patience, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      await patience.endure(error)
    }
  }
}

/** Whether the same request may succeed a little later: the server or its Redis was away, busy or asked too often. */
function isPassing(fault: unknown): fault is Error {
  if (fault instanceof MusterError) return fault.code === 'ledger_unavailable'
  return fault instanceof Refused && (fault.problem.status === 503 || fault.problem.status === 429)
}
