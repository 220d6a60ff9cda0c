/**
 * Why something did not work before a command was sent: a reason, a text for people, and whose fault it was.
 */
import { blankControl, type Reached, type Reason, shortened } from '@muster/contract'

/** Why something did not work. `detail` is for people and holds no secret. */
export type Failure = {
  readonly reason: Reason
  readonly detail: string
  /** Whether another try may succeed: false for what only a person can put right. Nothing was started either way. */
  readonly isRetryable: boolean
  /**
   * Whether the host itself was asked, and refused or did not answer. False where this worker, the network, a jump host
   * or whoever stopped it is to blame: that says nothing about the host.
   */
  readonly isHostsFault: boolean
  /** How far the connection got. Absent: there was no TCP connection to the host. */
  readonly reached?: Reached
}

/** Reasons that do not pass by themselves, or that mean somebody asked to stop: no retry. */
const LASTING: ReadonlySet<Reason> = new Set<Reason>([
  'auth_failed',
  'host_key_unknown',
  'host_key_changed',
  'sudo_password_required',
  'sudo_denied',
  'cancelled_by_user',
  'job_timeout',
  'policy_denied',
])

/** Reasons that only a host which was asked can cause. */
const HOSTS_FAULTS: ReadonlySet<Reason> = new Set<Reason>([
  'conn_refused',
  'conn_timeout',
  'kex_failed',
  'auth_failed',
  'channel_refused',
])

/** A failure. Its reason decides whether it may be retried and is the host's fault, unless the caller knows more. */
export function failure(
  reason: Reason,
  detail: string,
  more: { readonly isRetryable?: boolean; readonly isHostsFault?: boolean } = {},
): Failure {
  const { isRetryable = !LASTING.has(reason), isHostsFault = HOSTS_FAULTS.has(reason) } = more
  return { reason, detail, isRetryable, isHostsFault }
}

/** Why a signal was aborted: `job_timeout` where that is its reason, else a cancel. */
export function causeOfAbort(signal: AbortSignal): 'job_timeout' | 'cancelled_by_user' {
  return signal.reason === 'job_timeout' ? 'job_timeout' : 'cancelled_by_user'
}

/** Text from a host on one line of at most 200 characters, without invisible or control characters. */
export function printable(text: string): string {
  return shortened(blankControl(text), 200)
}

/** The fields that ssh2 and Node put on their errors. */
export function fieldsOf(error: Error): { level: unknown; code: unknown } {
  return { level: 'level' in error ? error.level : undefined, code: 'code' in error ? error.code : undefined }
}
