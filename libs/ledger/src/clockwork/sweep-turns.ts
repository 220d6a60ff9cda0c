/**
 * When this process sweeps. Every process asks, and Redis says whose turn it is, by its own clock (sweep-turn.lua).
 * When the process that sweeps dies, the next one has its turn five seconds later.
 */
import { z } from 'zod'
import type { Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { type Repeated, repeat } from './repeat.ts'
import { sweep } from './sweep.ts'

/** The time between the last sign of a sweep and the next sweep. */
const SWEEP_EVERY_MS = 5_000
/** How often a process asks for its turn, or gives a sign that it still sweeps. */
const SIGN_EVERY_MS = 1_000

/** Starts asking for turns, and sweeps when it is the turn of this process. */
export function startSweeps(ledger: Ledger, onError: (error: Error) => void): Repeated {
  const { keys } = ledger
  const turn = async (word: 'begin' | 'keep') =>
    z.number().parse(await runScript(ledger, 'sweep-turn', { sign: keys.sweepTurn, everyMs: SWEEP_EVERY_MS, word }))
  const sign = async () => {
    await turn('keep')
    return SIGN_EVERY_MS
  }
  let signs: Repeated | undefined
  const turns = repeat(async () => {
    const leftMs = await turn('begin')
    if (leftMs > 0) return Math.min(leftMs, SIGN_EVERY_MS)
    signs = repeat(sign, onError)
    try {
      await sweep(ledger)
    } finally {
      signs.stop()
    }
    return await sign()
  }, onError)
  return {
    stop: () => {
      turns.stop()
      signs?.stop()
    },
  }
}
