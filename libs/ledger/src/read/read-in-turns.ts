/** Reads much without holding up others: one part in one round trip, then everybody else's turn. */
import { setImmediate as letOthersRun } from 'node:timers/promises'
import { ask, type Ledger } from '../redis/open-ledger.ts'

/**
 * Returns the answers to some read commands, in their order, in one round trip.
 * @throws {MusterError} ledger_unavailable
 */
export async function readAll(
  ledger: Ledger,
  commands: ReadonlyArray<readonly (string | number)[]>,
): Promise<unknown[]> {
  if (commands.length === 0) return []
  const { redis } = ledger
  const answers = await ask(redis, async () => {
    const given = await redis.pipeline(commands.map((command) => [...command])).exec()
    const failed = given?.find(([error]) => error !== null)?.[0]
    if (failed) throw failed
    return given
  })
  return (answers ?? []).map(([, answer]) => answer)
}

/** Reads for `most` indexes at a time. Between two parts the event loop is free. */
export async function* inTurns<T>(
  indexes: readonly number[],
  most: number,
  read: (part: readonly number[]) => Promise<readonly T[]>,
): AsyncGenerator<T> {
  for (let from = 0; from < indexes.length; from += most) {
    yield* await read(indexes.slice(from, from + most))
    await letOthersRun()
  }
}

/** The numbers from `from` up to but not including `to`. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i)
}
