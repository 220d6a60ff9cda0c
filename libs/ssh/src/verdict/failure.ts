/**
 * Why something did not work before a command was sent: a reason, a text for people, and whose fault it was. Which error
 * becomes which failure is decided where it happens.
 */
import { blankControl, type Reason } from '@muster/contract'

/** Why something did not work. `detail` is for people and holds no secret. */
export type Failure = {
  readonly reason: Reason
  readonly detail: string
  /** Whether another try may go better: false for what only a person can put right. Nothing was started either way. */
  readonly isRetryable: boolean
  /**
   * Whether the host itself was asked, and did not answer or refused. False for what this worker, the way there, a jump
   * host or somebody who stopped it is to blame for: that says nothing about the host.
   */
  readonly isHostsFault: boolean
}

/** What does not pass by itself, or is not to be tried again because somebody said so. */
const LASTING: ReadonlySet<Reason> = new Set<Reason>([
  'auth_failed',
  'host_key_unknown',
  'host_key_changed',
  'sudo_password_required',
  'sudo_denied',
  'cancelled_by_user',
  'job_timeout',
])

/** What only a host that was asked can bring about. */
const HOSTS_FAULTS: ReadonlySet<Reason> = new Set<Reason>([
  'conn_refused',
  'conn_timeout',
  'kex_failed',
  'auth_failed',
  'channel_refused',
])

/** A failure; whether it may be tried again, and is the host's, follows from its reason, unless more is known. */
export function failure(
  reason: Reason,
  detail: string,
  more: { readonly isRetryable?: boolean; readonly isHostsFault?: boolean } = {},
): Failure {
  const { isRetryable = !LASTING.has(reason), isHostsFault = HOSTS_FAULTS.has(reason) } = more
  return { reason, detail, isRetryable, isHostsFault }
}

/** Why a signal was aborted: its reason where that is one of ours, else it is a cancel. */
export function causeOfAbort(signal: AbortSignal): 'job_timeout' | 'cancelled_by_user' {
  return signal.reason === 'job_timeout' ? 'job_timeout' : 'cancelled_by_user'
}

/** Text from a host, made fit for a line of ours: nothing that hides or has an effect, and not without end. */
export function printable(text: string): string {
  const line = blankControl(text)
  // Never half of a surrogate pair.
  return line.length > 200 ? `${line.slice(0, 200).replace(/[\uD800-\uDBFF]$/, '')}…` : line
}

/** The fields ssh2 and Node put on their errors. */
export function fieldsOf(error: Error): { level: unknown; code: unknown } {
  return { level: 'level' in error ? error.level : undefined, code: 'code' in error ? error.code : undefined }
}
