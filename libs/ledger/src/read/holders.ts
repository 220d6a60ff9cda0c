/**
 * Who holds the machine that a run waits for, and how long it may. A job of another owner is named by its ID alone,
 * which opens nothing: neither its title nor its command is told.
 */
import { JobId } from '@muster/contract'
import { z } from 'zod'
import { isoTime } from '../job/stored-job.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'

const until = z.string().transform((text) => (text === '' ? undefined : Number(text)))
const count = z.coerce.number().int()

/** The fields of a holder, as `holder_before` in holder.lua gives them. */
export const HOLDER_FIELDS = [JobId, until, count] as const

/** A job that holds a machine, when its time there is over if that is known, and how many runs hold it. */
export type Holder = { readonly jobId: string; readonly untilMs: number | undefined; readonly count: number }

const Holders = z.array(
  z.union([
    z.tuple([]).transform(() => undefined),
    z.tuple(HOLDER_FIELDS).transform(([jobId, untilMs, runs]): Holder => ({ jobId, untilMs, count: runs })),
  ]),
)

/**
 * The holders of the machines that these runs of a job wait for, by the index of the run, in one round trip. None for a
 * run that does not wait any more.
 * @throws {MusterError} ledger_unavailable
 */
export async function readHolders(
  ledger: Ledger,
  jobId: string,
  indexes: readonly number[],
): Promise<ReadonlyMap<number, Holder>> {
  if (indexes.length === 0) return new Map()
  const holders = Holders.parse(await ask(ledger.redis, () => runScript(ledger, 'holders', { jobId }, indexes), jobId))
  return new Map(
    indexes.flatMap((index, i) => {
      const holder = holders[i]
      return holder === undefined ? [] : [[index, holder] as const]
    }),
  )
}

/** Whom a run waits for, in words: `job_… holds its machine, and its time is over at 2026-11-30T12:00:00.000Z`. */
export function holderText({ jobId, untilMs, count: runs }: Holder): string {
  const others = runs > 1 ? ` with ${runs - 1} more` : ''
  const end = isoTime(untilMs)
  const told = end === null ? 'has not sent its command yet' : `its time is over at ${end}`
  return `${jobId} holds the machine${others}, and ${told}`
}
