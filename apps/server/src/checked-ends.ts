/**
 * Checks the ends of runs by the public keys of workers, and tells the operator of those that nobody vouches for: of
 * each once, however often it is read.
 */
import type { EndKeys, UnverifiedEnd } from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import { openEndChecker } from '@muster/trust'

/** So many runs are remembered; of those that were forgotten the log may tell again. */
const KEPT_RUNS = 10_000

/**
 * What checks ends, as long as the file has keys for that. Without a file, none is checked.
 * @throws {MusterError} invalid_config when it cannot be used
 */
export async function openEndsChecked(publicKeyFile: string | undefined, logger: Logger): Promise<EndKeys> {
  if (publicKeyFile === undefined) return {}
  const onTrouble = (error: unknown) =>
    logger.warn({ err: error }, 'the keys of workers cannot be read anew; ends are checked by those read before')
  const { fresh } = await openEndChecker(publicKeyFile, onTrouble)
  return { freshCheck: fresh, onUnverified: tellUnverifiedEnds(logger) }
}

/** Returns what the ledger calls for each such end that it reads. It logs the first time, with how many there were. */
export function tellUnverifiedEnds(logger: Pick<Logger, 'warn'>): (run: UnverifiedEnd) => void {
  const told = new Set<string>()
  let count = 0
  return ({ jobId, index, host, said }) => {
    const run = `${jobId}/${index}`
    if (told.has(run)) return
    told.add(run)
    const [oldest] = told
    if (told.size > KEPT_RUNS && oldest !== undefined) told.delete(oldest)
    count += 1
    // An object, so that many runs of one job are one line once in a while.
    const end = { host, index, said, unverified: count }
    logger.warn({ job_id: jobId, end }, 'no signature of a worker covers what Redis says of the end of a run')
  }
}
