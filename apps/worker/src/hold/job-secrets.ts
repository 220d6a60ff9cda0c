/**
 * The secrets of the jobs whose runs this worker holds: opened once for all runs of a job, and forgotten soon after the
 * last of them. What can be overwritten is overwritten then.
 */
import { firstChars, type JobSecrets, type LoginSecrets, MusterError, valuesOf } from '@muster/contract'
import { type Claim, type Ledger, readSealed } from '@muster/ledger'
import { prepareMasks, type SecretScrubber, type StreamMasks } from '@muster/runtime'
import { openSecrets, readPrivateKeys, WORKER_KEYS } from '@muster/trust'
import type { RunSpec } from './run-specs.ts'

/** A longer text is masked by its lines, and a longer line by its beginning. */
const MASKED_CHARS = 4_096
/** A shorter line of several says too little by itself. */
const LINE_CHARS_MIN = 8
const MASKED_LINES = 500

/** Between two runs of a job that has few at once, they stay open. */
const LINGER_MS = 5_000

/** What a run must do, ready to start: the secrets of its job are in place. */
export type ReadySpec = RunSpec & {
  /** The password for sudo that came with the job. Undefined: the inventory may have one. */
  readonly sudoPassword: string | undefined
  /** What came with the job to log in with, for the hosts that the request names itself. Undefined: nothing did. */
  readonly login: LoginSecrets | undefined
  /** Masks the secrets of the job in a text of ours, which may quote the host. */
  readonly scrub: (text: string) => string
  /** Masks them in what the command prints. Undefined: the job has none. */
  readonly masks: StreamMasks | undefined
}

/** The secrets of a run, until they are released. */
type HeldSecrets = {
  readonly spec: ReadySpec
  /** Call this once, when the run has ended. */
  release(): void
}

/** Why a run cannot have its secrets; it does not run without them. */
type Unreadable = { readonly unreadable: string }

/** Opens secrets. */
export type SecretsOfJobs = {
  /**
   * The run with the secrets of its job.
   * @throws {MusterError} ledger_unavailable
   */
  hold(run: Pick<Claim, 'jobId' | 'host'>, spec: RunSpec): Promise<HeldSecrets | Unreadable>
  /** Forgets what no run holds. */
  close(): void
}

/** Opened secrets. All runs of the job share the bytes of stdin. */
type Open = {
  readonly secrets: Omit<JobSecrets, 'secret_stdin'>
  readonly stdin: Buffer | undefined
  /** The hosts that they were sealed for. */
  readonly hosts: ReadonlySet<string>
  readonly values: readonly string[]
  readonly masks: () => StreamMasks
}

type Kept = { readonly opening: Promise<Open | Unreadable>; holders: number; timer: NodeJS.Timeout | undefined }

/** Keeps the secrets of jobs. `keyFile` is undefined for a worker that has no keys. */
export function createSecretsOfJobs(
  ledger: Ledger,
  { keyFile, scrubber }: { keyFile: string | undefined; scrubber: SecretScrubber },
): SecretsOfJobs {
  const known = new Map<string, Kept>()

  const open = async (jobId: string, { work, refusalOfSealed }: RunSpec): Promise<Open | Unreadable> => {
    if (keyFile === undefined) return { unreadable: 'this worker has no MUSTER_WORKER_KEY_FILE to open secrets with' }
    try {
      const keys = await readPrivateKeys(WORKER_KEYS, keyFile)
      const sealed = await readSealed(ledger, jobId)
      if (sealed === undefined) return { unreadable: 'Redis has no sealed secrets for the job' }
      const refused = await refusalOfSealed(sealed)
      if (refused !== undefined) return { unreadable: refused }
      const { hosts } = sealed
      const opened = await openSecrets(keys, sealed.text, { jobId: sealed.jobId, hosts, work })
      if ('unreadable' in opened) return opened
      const { secret_stdin, ...secrets } = opened.secrets
      const values = valuesOf(opened.secrets).flatMap(partsOf)
      scrubber.add(...values)
      const stdin = secret_stdin === undefined ? undefined : Buffer.from(secret_stdin)
      return { secrets, stdin, hosts: new Set(hosts), values, masks: prepareMasks(values) }
    } catch (error) {
      if (!(error instanceof MusterError) || error.code === 'ledger_unavailable') throw error
      return { unreadable: error.message }
    }
  }

  /** Forgets them, now or as soon as they are open. */
  const forget = async (jobId: string, kept: Kept) => {
    if (known.get(jobId) === kept) known.delete(jobId)
    const opened = await kept.opening.catch(() => undefined)
    if (opened === undefined || 'unreadable' in opened) return
    opened.stdin?.fill(0)
    scrubber.remove(...opened.values)
  }

  const release = (jobId: string, kept: Kept) => {
    kept.holders -= 1
    if (kept.holders > 0) return
    kept.timer = setTimeout(() => void forget(jobId, kept), LINGER_MS)
    kept.timer.unref()
  }

  return {
    hold: async (run, spec) => {
      if (spec.secretNames.length === 0) return { spec: { ...spec, ...NO_SECRETS }, release: () => {} }
      const { jobId, host } = run
      const kept = known.get(jobId) ?? { opening: open(jobId, spec), holders: 0, timer: undefined }
      known.set(jobId, kept)
      clearTimeout(kept.timer)
      kept.holders += 1
      const opened = await kept.opening.catch((error: unknown) => {
        known.delete(jobId)
        throw error
      })
      if ('unreadable' in opened || !opened.hosts.has(host)) {
        // The next run looks again: an operator may have mended the key file since.
        if ('unreadable' in opened && known.get(jobId) === kept) known.delete(jobId)
        release(jobId, kept)
        return 'unreadable' in opened ? opened : { unreadable: `the secrets were not sealed for ${host}` }
      }
      return { spec: withSecrets(spec, opened, scrubber), release: () => release(jobId, kept) }
    },
    close: () => {
      for (const [jobId, kept] of known) {
        clearTimeout(kept.timer)
        if (kept.holders === 0) void forget(jobId, kept)
      }
    },
  }
}

/** What a job without secrets brings. */
const NO_SECRETS = { sudoPassword: undefined, login: undefined, scrub: (text: string) => text, masks: undefined }

function withSecrets(spec: RunSpec, { secrets, stdin, masks }: Open, scrubber: SecretScrubber): ReadySpec {
  const { secret_env, sudo_password, connect } = secrets
  const { command } = spec
  return {
    ...spec,
    command: {
      ...command,
      ...(stdin === undefined ? {} : { stdin }),
      ...(secret_env === undefined ? {} : { env: { ...command.env, ...secret_env } }),
    },
    sudoPassword: sudo_password,
    login: connect,
    scrub: (text) => scrubber.scrub(text),
    masks: masks(),
  }
}

/** What is looked for in a text to mask a secret in it: the secret, and its lines if it has several. */
function partsOf(secret: string): string[] {
  const lines = secret.split(/\r?\n/).filter((line) => line.length >= LINE_CHARS_MIN)
  const parts = lines.slice(0, MASKED_LINES).map((line) => firstChars(line, MASKED_CHARS))
  return secret.length > MASKED_CHARS ? parts : [...new Set([secret, ...parts])]
}
