/**
 * What a worker signs of the end of a run, and who vouches for the end that a record tells. Otherwise anyone who can
 * write to Redis could turn a failure into a success, or give the end of one run to another.
 *
 * Covered are how the run ended, on which host of a job of how many, what the worker reached, and how much it printed,
 * with digests of that. Not covered are times, notices, how many attempts followed in vain, and the bytes of the output
 * themselves.
 */
import { isTerminalRun, type LateResult, type Voucher } from '@muster/contract'
import type { CheckEnd, Ledger, UnverifiedEnd } from '../redis/open-ledger.ts'
import type { StoredRun } from './stored-run.ts'

/** Which run an end is of: where it stands in the frozen set, on which host, and how many hosts that set has. */
export type RunOfJob = {
  readonly jobId: string
  readonly index: number
  readonly host: string
  readonly total: number
}

/** The fields of the record of a run, as texts. */
type Fields = Readonly<Record<string, string | undefined>>

/** The fields that tell an end. A field that is not there is signed as ''. */
const TOLD_FIELDS = [
  'state',
  'remote',
  'reason',
  'detail',
  'exit_code',
  'signal',
  'worker',
  'digest',
  'stdout_sha256',
  'stderr_sha256',
  'incomplete',
  'reached',
] as const
/** The fields of the record that {@link endText} takes, and the signature over it. */
export const SIGNED_END_FIELDS = [...TOLD_FIELDS, 'attempt', 'end_attempt', 'stdout', 'stderr', 'signed'] as const

/** The text that a worker signs for the end of a run, from the fields of its record. */
export function endText({ jobId, index, host, total }: RunOfJob, fields: Fields): string {
  const attempt = fields.end_attempt ?? fields.attempt
  // Without a digest the worker has not seen all of the output, and the counts are what has come to Redis so far.
  const counts = fields.digest === undefined ? [] : [fields.stdout ?? '0', fields.stderr ?? '0']
  const told = TOLD_FIELDS.map((name) => fields[name] ?? '')
  return JSON.stringify(['muster end 1', jobId, index, host, total, attempt, told, counts])
}

/** The text that a worker signs for a result that came too late. */
export function lateText({ jobId, index, host, total }: RunOfJob, late: LateResult): string {
  const { state, remote, reason, detail, exit_code: exitCode, signal, worker, at } = late
  const told = [state, remote, reason, detail, exitCode, signal, worker, at]
  return JSON.stringify(['muster late result 1', jobId, index, host, total, told])
}

/** A run, and who vouches for its end. */
export type VouchedRun = StoredRun & { readonly vouchedBy: Voucher | null }

/**
 * A run as its record tells it, if somebody vouches for its end; else as `lost`. `fields` is the record, and `run` what
 * was read of it.
 */
export type Vouch = (of: RunOfJob, fields: Fields, run: StoredRun) => VouchedRun

/** Who vouches for ends, by the keys as they are now: for one batch of runs. */
export async function freshVouch({ ends }: Ledger): Promise<Vouch> {
  const check = await ends.freshCheck?.()
  if (check === undefined) return (_of, _fields, run) => ({ ...run, vouchedBy: null })
  return (of, fields, run) => vouched(check, of, fields, run, ends.onUnverified ?? (() => {}))
}

function vouched(
  check: CheckEnd,
  of: RunOfJob,
  fields: Fields,
  run: StoredRun,
  onUnverified: (run: UnverifiedEnd) => void,
): VouchedRun {
  const { late_result: late, ...rest } = run
  const isLateSigned = late?.signed !== undefined && check(lateText(of, late), late.signed)
  const checked = isLateSigned ? run : rest
  if (!isTerminalRun(run.state)) return { ...checked, vouchedBy: null }
  if (run.signed !== undefined && check(endText(of, fields), run.signed)) return { ...checked, vouchedBy: 'worker' }
  if (run.signed === undefined && mayBeLedgers(run)) return { ...checked, vouchedBy: 'ledger' }
  const { jobId, index, host } = of
  onUnverified({ jobId, index, host, said: saidOf(run) })
  return unverified(checked)
}

/** Whether the ledger ends runs like this by itself. It never says more than that a run did not start, or is lost. */
function mayBeLedgers({ state, remote, exit_code: exitCode, signal }: StoredRun): boolean {
  if (exitCode !== undefined || signal !== undefined) return false
  if (state === 'lost') return remote === 'unknown'
  return remote === 'not_started' && (state === 'skipped' || state === 'cancelled' || state === 'unreachable')
}

/** A run of whose end nobody knows anything. What came before it, and how much Redis has of its output, stays. */
function unverified(run: StoredRun): VouchedRun {
  const { exit_code, signal, reached, stdout_sha256, stderr_sha256, ...rest } = run
  const why = 'its record was changed in Redis, or is of a worker that did not sign, or its key was dropped'
  const detail = `Redis says ${saidOf(run)}, but no signature of a worker covers that: ${why}`
  return { ...rest, state: 'lost', remote: 'unknown', reason: 'end_unverified', detail, digest: '', vouchedBy: null }
}

function saidOf({ state, reason, exit_code: exitCode }: StoredRun): string {
  const parts = [state, reason, exitCode === undefined ? undefined : `exit code ${exitCode}`]
  return parts.filter((part) => part !== undefined).join(', ')
}
