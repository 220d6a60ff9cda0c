/**
 * The commands of the jobs at hand, read once for all their runs. Keeps only those that were wanted last: a worker sees
 * many jobs, and one may bring a script and a stdin of 16 MiB each.
 */
import type { JobSpec } from '@muster/contract'
import { type Claim, type Ledger, readSpec } from '@muster/ledger'

/** Jobs whose commands are kept. */
const KEPT = 50
/** Most that their scripts and stdins come to; the job that was wanted last is kept in any case. */
const KEPT_BYTES = 128 * 1024 * 1024

/** What a run of a job is to do. Its texts are bytes that all runs of the job share, as many may be sent at once. */
export type RunSpec = Omit<JobSpec, 'script' | 'stdin'> & { readonly script?: Buffer; readonly stdin?: Buffer }

/** Looks up what to run. */
export type JobSpecs = {
  /** With the exec timeout as the claim says. Undefined when there is no such job. */
  of(claim: Claim): Promise<RunSpec | undefined>
}

type Kept = { readonly reading: Promise<RunSpec | undefined>; bytes: number }

/** Reads them from the ledger. */
export function createJobSpecs(ledger: Ledger): JobSpecs {
  const known = new Map<string, Kept>()
  const read = (jobId: string) => {
    const kept: Kept = { reading: readSpec(ledger, jobId).then((spec) => spec && inBytes(spec)), bytes: 0 }
    kept.reading.then(
      (spec) => {
        kept.bytes = (spec?.script?.length ?? 0) + (spec?.stdin?.length ?? 0)
        forgetOldest(known)
      },
      () => known.delete(jobId),
    )
    return kept
  }
  return {
    of: async ({ jobId, execTimeoutMs }) => {
      const kept = known.get(jobId) ?? read(jobId)
      known.delete(jobId)
      known.set(jobId, kept)
      const spec = await kept.reading
      return spec === undefined ? undefined : { ...spec, exec_timeout_s: execTimeoutMs / 1_000 }
    },
  }
}

function inBytes({ script, stdin, ...rest }: JobSpec): RunSpec {
  return {
    ...rest,
    ...(script === undefined ? {} : { script: Buffer.from(script) }),
    ...(stdin === undefined ? {} : { stdin: Buffer.from(stdin) }),
  }
}

function forgetOldest(known: Map<string, Kept>): void {
  let bytes = [...known.values()].reduce((sum, kept) => sum + kept.bytes, 0)
  for (const [jobId, kept] of known) {
    if (known.size === 1 || (known.size <= KEPT && bytes <= KEPT_BYTES)) return
    bytes -= kept.bytes
    known.delete(jobId)
  }
}
