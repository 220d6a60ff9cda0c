/**
 * What the runs at hand are to do: the options of each job, read once for all its runs and turned into what libs/ssh
 * takes. Keeps only the jobs that were wanted last: a worker sees many, and each may bring a script and a stdin of
 * 16 MiB.
 */
import type { JobSpec } from '@muster/contract'
import { type Claim, type Ledger, readSpec } from '@muster/ledger'
import type { RemoteCommand } from '@muster/ssh'

/** Jobs whose specs are kept. */
const KEPT = 50
/** The most that their scripts and stdins may come to. The job that was wanted last is kept in any case. */
const KEPT_BYTES = 128 * 1024 * 1024

/** What a run is to do. */
export type RunSpec = {
  /** Without sudo, whose password only the inventory knows. All runs of the job share the bytes of script and stdin. */
  readonly command: Omit<RemoteCommand, 'sudo'>
  /** The user to run as, by sudo. Undefined: the command runs as the account. */
  readonly sudoUser: string | undefined
  readonly isDurable: boolean
  readonly limits: RunLimits
  readonly connectTimeoutMs: number
  /** Kept of each stream. */
  readonly outputLimitBytes: number
  /** Undefined: the job has no health check. */
  readonly healthCheck: { readonly command: string; readonly timeoutMs: number } | undefined
}

/** How long a command may take, be silent, and live on after TERM. */
type RunLimits = {
  /** As it was when the run was claimed; it may be raised while the command runs. */
  readonly execTimeoutMs: number
  /** Undefined: the command may be silent for as long as it likes. */
  readonly idleTimeoutMs: number | undefined
  readonly killGraceMs: number
}

/** Looks up specs. */
export type RunSpecs = {
  /**
   * The spec of the claimed run. Undefined when its job is gone.
   * @throws {MusterError} job_damaged
   */
  of(claim: Claim): Promise<RunSpec | undefined>
}

type Kept = { readonly reading: Promise<JobInBytes | undefined>; bytes: number }

/** A job's options. A script or stdin is turned into bytes once, as many runs may send it at the same time. */
type JobInBytes = Omit<JobSpec, 'script' | 'stdin'> & { readonly script?: Buffer; readonly stdin?: Buffer }

/** Reads specs from the ledger. */
export function createRunSpecs(ledger: Ledger): RunSpecs {
  const known = new Map<string, Kept>()
  const read = (jobId: string) => {
    const kept: Kept = { reading: readSpec(ledger, jobId).then((job) => job && inBytes(job)), bytes: 0 }
    kept.reading.then(
      (job) => {
        kept.bytes = (job?.script?.length ?? 0) + (job?.stdin?.length ?? 0)
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
      const job = await kept.reading
      return job === undefined ? undefined : toRunSpec(job, execTimeoutMs)
    },
  }
}

function inBytes({ script, stdin, ...rest }: JobSpec): JobInBytes {
  return {
    ...rest,
    ...(script === undefined ? {} : { script: Buffer.from(script) }),
    ...(stdin === undefined ? {} : { stdin: Buffer.from(stdin) }),
  }
}

/** Seconds become milliseconds here, and nowhere after. */
function toRunSpec(job: JobInBytes, execTimeoutMs: number): RunSpec {
  const { stdin, cwd, env, health_check: check } = job
  return {
    command: {
      form: formOf(job),
      ...(stdin === undefined ? {} : { stdin }),
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
    },
    // Naming a user says sudo by itself.
    sudoUser: job.run_as ?? (job.sudo ? 'root' : undefined),
    isDurable: job.durable,
    limits: {
      execTimeoutMs,
      idleTimeoutMs: job.idle_timeout_s === undefined ? undefined : job.idle_timeout_s * 1_000,
      killGraceMs: job.kill_grace_s * 1_000,
    },
    connectTimeoutMs: job.connect_timeout_s * 1_000,
    outputLimitBytes: job.output_limit_bytes,
    healthCheck: check === undefined ? undefined : { command: check.command, timeoutMs: check.timeout_s * 1_000 },
  }
}

function formOf({ command, argv, script, script_args: args }: JobInBytes): RemoteCommand['form'] {
  if (argv !== undefined) return { argv }
  if (script !== undefined) return { script, ...(args === undefined ? {} : { args }) }
  return { command: command ?? '' }
}

function forgetOldest(known: Map<string, Kept>): void {
  let bytes = [...known.values()].reduce((sum, kept) => sum + kept.bytes, 0)
  for (const [jobId, kept] of known) {
    if (known.size === 1 || (known.size <= KEPT && bytes <= KEPT_BYTES)) return
    bytes -= kept.bytes
    known.delete(jobId)
  }
}
