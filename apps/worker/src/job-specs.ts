/** The commands of the jobs at hand, read once for all their runs. Keeps only the latest: a worker sees many jobs. */
import type { JobSpec } from '@muster/contract'
import { type Claim, type Ledger, readSpec } from '@muster/ledger'

/** Jobs whose commands are kept; one may be some hundred kilobytes. */
const KEPT = 50

/** Looks up what to run. */
export type JobSpecs = {
  /** With the exec timeout as the claim says. Undefined when there is no such job. */
  of(claim: Claim): Promise<JobSpec | undefined>
}

/** Reads them from the ledger. */
export function createJobSpecs(ledger: Ledger): JobSpecs {
  const known = new Map<string, Promise<JobSpec | undefined>>()
  const read = (jobId: string) => {
    const reading = readSpec(ledger, jobId)
    reading.catch(() => known.delete(jobId))
    known.set(jobId, reading)
    const [oldest] = known.keys()
    if (known.size > KEPT && oldest !== undefined) known.delete(oldest)
    return reading
  }
  return {
    of: async ({ jobId, execTimeoutMs }) => {
      const spec = await (known.get(jobId) ?? read(jobId))
      return spec === undefined ? undefined : { ...spec, exec_timeout_s: execTimeoutMs / 1_000 }
    },
  }
}
