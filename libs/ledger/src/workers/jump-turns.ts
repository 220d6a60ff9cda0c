/**
 * Turns for handshakes with and through each jump host, shared by all workers. An sshd drops log-ins at random when too
 * many are under way (MaxStartups). The holder of a turn renews it; a turn of a dead worker comes free within seconds.
 *
 * Does not dial, and knows nothing about hosts but the name of the jump host.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'

/** The turns, for one worker. */
type JumpTurns = {
  /**
   * Waits for a turn, and resolves with a function that gives it back. Rejects when the signal aborts or Redis fails.
   */
  take(jumpName: string, signal: AbortSignal): Promise<() => void>
  /** Renews no turn any more. */
  close(): void
}

/** Two fewer than the ten at which OpenSSH begins to drop. */
const TURNS = 8
const HOLD_MS = 10_000
const RENEW_EVERY_MS = 3_000
/** The pause between two tries to get a turn, about. */
const AGAIN_MS = 25

/** Opens the turns for this worker. */
export function openJumpTurns(ledger: Ledger, workerId: string): JumpTurns {
  const held = new Set<NodeJS.Timeout>()
  let count = 0
  /** Takes or renews a turn; with 0 ms, gives it back. Resolves to whether it is held. */
  const hold = async (jumpName: string, holder: string, holdMs: number) => {
    const given = { turns: ledger.keys.jumpTurns(jumpName), holder, limit: TURNS, holdMs }
    return (await runScript(ledger, 'jump-turn', given)) === 1
  }
  return {
    take: async (jumpName, signal) => {
      count += 1
      const holder = `${workerId}:${count}`
      while (!(await hold(jumpName, holder, HOLD_MS))) {
        await sleep(AGAIN_MS * (0.5 + Math.random()), undefined, { signal })
      }
      // Trouble with Redis shows everywhere else too, and the turn comes free by itself.
      const renewal = setInterval(() => void hold(jumpName, holder, HOLD_MS).catch(() => {}), RENEW_EVERY_MS)
      held.add(renewal)
      return () => {
        clearInterval(renewal)
        held.delete(renewal)
        hold(jumpName, holder, 0).catch(() => {})
      }
    },
    close: () => {
      for (const renewal of held) clearInterval(renewal)
      held.clear()
    },
  }
}
