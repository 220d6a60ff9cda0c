/** States and reasons in words, for people. The code of a reason is shown beside them, to look it up by. */
import { type Reason, type RunState, UNLESS_FORCED } from '@muster/contract'

const REASONS: Record<Reason, string> = {
  exit_nonzero: 'the command ended with an exit code other than 0',
  signal: 'a signal ended the command',
  exec_timeout: 'it ran longer than exec_timeout_s, and was killed',
  idle_timeout: 'it printed nothing for idle_timeout_s, and was killed',
  job_timeout: 'the time limit of the whole job had passed',
  output_limit: 'it printed more than is allowed, and was killed',
  health_check: 'the command succeeded, and the health check after it did not',
  dns_error: 'the address of the host could not be looked up',
  dns_timeout: 'looking up the address of the host took too long',
  conn_refused: 'there was no connection to the host',
  conn_timeout: 'no answer within connect_timeout_s',
  kex_failed: 'host and worker did not agree on an encrypted connection',
  host_key_unknown: 'the key of the host is not among the known hosts',
  host_key_changed: 'the key of the host is not the known one, or is revoked',
  auth_failed: 'the log-in failed',
  channel_refused: 'the host opened no session',
  jump_failed: 'there was no way through the jump host',
  sudo_password_required: 'sudo asks for a password, and none is configured',
  sudo_denied: 'sudo does not allow it',
  conn_lost: 'the connection was lost before it brought a result',
  worker_lost: 'the worker was lost before it had a result',
  host_rebooted: 'the host was restarted while the command ran',
  result_missing: 'the host has no record of how the command ended',
  kill_unconfirmed: 'it was killed, but nobody could confirm that it is gone',
  error_budget: 'too many hosts had gone wrong before',
  start_deadline: 'it could not start within start_deadline_s',
  breaker_open: 'it is not tried for now, as reaching it or logging in failed several times',
  host_disabled: 'the inventory says that the host is disabled',
  cancelled_by_user: 'it was cancelled',
  policy_denied: 'the API key of the job may not touch the host, or the worker could not read the job',
  key_revoked: 'the API key that submitted it was revoked or has expired',
  secrets_unreadable: 'the worker could not read the secrets of the job, and does not run it without them',
  signature_invalid: 'what Redis says of the job is not what its server has signed, and the worker does not run it',
  end_unverified: 'what Redis says of its end is covered by no signature of a worker',
}

/** A state in words: `waiting to retry` for `retry_wait`; the other names speak for themselves. */
export function stateWords(state: RunState): string {
  return state === 'retry_wait' ? 'waiting to retry' : state.replaceAll('_', ' ')
}

/** The reason in words: the detail of this run, or else what the reason means for any run. */
export function reasonWords(reason: Reason, detail: string | null): string {
  return detail === null ? REASONS[reason] : detail.replace(UNLESS_FORCED.asField, UNLESS_FORCED.asFlag)
}
