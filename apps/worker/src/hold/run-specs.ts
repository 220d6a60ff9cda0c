/**
 * What the runs of this worker must do: the options of each job, read once for all its runs and converted for libs/ssh.
 * Only the most recently used jobs are kept: a worker sees many, and each may bring a script and a stdin of 16 MiB.
 */
import type { Connect, JobSpec } from '@muster/contract'
import {
  type CheckWork,
  type Claim,
  type Ledger,
  type NotAsSigned,
  readSpec,
  type SealedSecrets,
  SignedJob,
  workDigest,
} from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import type { RemoteCommand } from '@muster/ssh'
import type { SignedStarts } from './own-starts.ts'

/** Most jobs whose specs are kept. */
const KEPT = 50
/** Most bytes of their scripts and stdins together. The job used last is always kept. */
const KEPT_BYTES = 128 * 1024 * 1024

/** What a run must do, without the secrets of its job (job-secrets.ts). */
export type RunSpec = {
  /** Without sudo, whose password is found with the host. All runs of a job share the bytes of script and stdin. */
  readonly command: Omit<RemoteCommand, 'sudo'>
  /** Target expressions that must all select the host, or the API key of the job may not touch it. */
  readonly keyHosts: readonly string[]
  /** How the hosts are reached that the request names itself. Undefined: it says nothing of that. */
  readonly connect: Connect | undefined
  /** The user to run as, through sudo. Undefined: the command runs as the login account. */
  readonly sudoUser: string | undefined
  /** The names of the secrets of the job, without which it does not run (job-secrets.ts). */
  readonly secretNames: readonly string[]
  /** A digest of what runs, for which the secrets are sealed. */
  readonly work: string
  /** Why sealed secrets are not those that came with the job. Undefined: they are, or nothing was to be signed. */
  readonly refusalOfSealed: (sealed: SealedSecrets) => Promise<string | undefined>
  /** How the job may start, as it was signed. Undefined: this worker checks no signatures. */
  readonly starts: SignedStarts | undefined
  readonly isDurable: boolean
  readonly limits: RunLimits
  readonly connectTimeoutMs: number
  /** How much of each stream is kept. */
  readonly outputLimitBytes: number
  /** Undefined: the job has no health check. */
  readonly healthCheck: { readonly command: string; readonly timeoutMs: number } | undefined
}

/** How long a command may take, be silent, and survive TERM. */
type RunLimits = {
  /** As of the claim; it may be raised while the command runs. */
  readonly execTimeoutMs: number
  /** Undefined: silence has no limit. */
  readonly idleTimeoutMs: number | undefined
  readonly killGraceMs: number
}

/** Looks up specs. */
export type RunSpecs = {
  /**
   * The spec of the claimed run; refused when that is not as it was signed. Undefined when its job is gone.
   * @throws {MusterError} job_damaged
   */
  of(claim: Claim): Promise<RunSpec | NotAsSigned | undefined>
  /**
   * The spec of a run that is not claimed yet, to tell how its host is reached. Undefined when it cannot be read, or is
   * not as it was signed.
   */
  toReach(run: Pick<Claim, 'jobId' | 'index' | 'host'>): Promise<RunSpec | undefined>
  /**
   * Whether commands of the job may take so long: a limit that nobody has signed is not taken over.
   * @throws {MusterError} job_damaged
   */
  mayTake(jobId: string, execTimeoutMs: number): Promise<boolean>
}

type Kept = { readonly reading: Promise<KeptJob | undefined>; bytes: number }

/** The options of a job. Script and stdin are bytes, converted once: many runs may send them at the same time. */
type JobInBytes = Omit<JobSpec, 'script' | 'stdin'> & { readonly script?: Buffer; readonly stdin?: Buffer }
type KeptJob = JobInBytes & {
  readonly keyHosts: readonly string[]
  readonly work: string
  /** Undefined: this worker checks no signatures. */
  readonly signed: SignedJob | NotAsSigned | undefined
}

/** Reads specs from the ledger. Without `check`, nothing has to be signed. */
export function createRunSpecs(
  ledger: Ledger,
  { check, log }: { check: CheckWork | undefined; log: Logger },
): RunSpecs {
  const known = new Map<string, Kept>()
  let refusedCount = 0
  const readJob = async (jobId: string): Promise<KeptJob | undefined> => {
    const job = await readSpec(ledger, jobId)
    if (job === undefined) return undefined
    const { spec, keyHosts, texts } = job
    const signed = check && (await SignedJob.open(ledger, check, { jobId, spec, texts }))
    return { ...inBytes(spec), keyHosts, work: workOf(spec), signed }
  }
  const read = (jobId: string) => {
    const reading = readJob(jobId)
    const kept: Kept = { reading, bytes: 0 }
    kept.reading.then(
      (job) => {
        // The next run looks again: an operator may have mended the key file since.
        if (job?.signed !== undefined && 'refused' in job.signed && known.get(jobId) === kept) known.delete(jobId)
        kept.bytes = (job?.script?.length ?? 0) + (job?.stdin?.length ?? 0)
        forgetOldest(known)
      },
      () => known.delete(jobId),
    )
    return kept
  }
  const find = (jobId: string) => {
    const kept = known.get(jobId) ?? read(jobId)
    known.delete(jobId)
    known.set(jobId, kept)
    return kept.reading
  }
  return {
    of: async (claim) => {
      const { jobId, host, index, attempt, execTimeoutMs } = claim
      const job = await find(jobId)
      if (job === undefined) return undefined
      const { signed } = job
      const refused = signed && ('refused' in signed ? signed.refused : await signed.refusalOf(claim))
      if (refused === undefined) return toRunSpec(job, execTimeoutMs)
      refusedCount += 1
      const run = { job_id: jobId, host, index, attempt }
      log.warn({ ...run, refused: refusedCount }, `not run, because it is not what was signed: ${refused}`)
      return { refused }
    },
    toReach: async (run) => {
      // The run itself says what is wrong with its job.
      const job = await find(run.jobId).catch(() => undefined)
      const { signed } = job ?? {}
      const isSigned = signed === undefined || (!('refused' in signed) && (await signed.isHostOf(run)))
      return job && isSigned ? toRunSpec(job, job.exec_timeout_s * 1_000) : undefined
    },
    mayTake: async (jobId, execTimeoutMs) => {
      const signed = (await find(jobId))?.signed
      if (signed === undefined) return true
      return !('refused' in signed) && (await signed.mayTake(execTimeoutMs))
    },
  }
}

/** Computed only where it is needed: a script may be large. */
function workOf(spec: JobSpec): string {
  return spec.secrets === undefined ? '' : workDigest(spec)
}

function inBytes({ script, stdin, ...rest }: JobSpec): JobInBytes {
  return {
    ...rest,
    ...(script === undefined ? {} : { script: Buffer.from(script) }),
    ...(stdin === undefined ? {} : { stdin: Buffer.from(stdin) }),
  }
}

/** Times are in seconds up to here, and in milliseconds from here on. */
function toRunSpec(job: KeptJob, execTimeoutMs: number): RunSpec {
  const { stdin, cwd, env, health_check: check } = job
  const signed = job.signed instanceof SignedJob ? job.signed : undefined
  return {
    command: {
      form: formOf(job),
      ...(stdin === undefined ? {} : { stdin }),
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
    },
    keyHosts: job.keyHosts,
    connect: job.connect,
    // `run_as` implies sudo.
    sudoUser: job.run_as ?? (job.sudo ? 'root' : undefined),
    secretNames: job.secrets ?? [],
    work: job.work,
    refusalOfSealed: async (sealed) => (signed === undefined ? undefined : await signed.refusalOfSealed(sealed)),
    starts: signed && { total: signed.total, sends: signed.sends, untilMs: signed.startsUntilMs },
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
