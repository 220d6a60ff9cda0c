/**
 * The verdict on a run: its state, reason and remote, from the exit the host reported, whether the start mark was seen,
 * and the result of a kill. Pure; exec.ts gathers the evidence.
 *
 * One rule decides the doubtful cases: "succeeded", "failed" and "not started" are only said when they are proven.
 */
import { type Reason, type Remote, signalDetail, type TerminalRunState } from '@muster/contract'
import { type Exit, exitWords, isSignalled } from './exit-status.ts'

/** Why this side stops a command. `fault`: its output could not be stored. */
export type StopCause = 'exec_timeout' | 'idle_timeout' | 'job_timeout' | 'cancelled_by_user' | 'output_limit' | 'fault'

/**
 * What a kill of the command's process group came to. `ended`: nothing of the group is left, after our signal.
 * `was_gone`: nothing was left before it. `not_sent`: no signal was sent. `unconfirmed`: a signal was sent, and nobody
 * knows whether it worked. `only_asked`: the same, but the host gave no channel to kill in, so the watchdog is still
 * on guard.
 */
export type KillResult = 'ended' | 'was_gone' | 'not_sent' | 'unconfirmed' | 'only_asked'

/** A command that this side tried to stop. */
export type Stopped = { readonly cause: StopCause; readonly kill: KillResult }

/** Everything that is known at the end of a command. */
export type Evidence = {
  /** Undefined when the host reported none. */
  readonly exit: Exit | undefined
  /** Whether the start mark was seen. */
  readonly hasStarted: boolean
  /** Whether the host said that it did not get the command. */
  readonly hasRefused: boolean
  readonly isConnectionOpen: boolean
  /** Whether the host ends the command by itself when its time is over. */
  readonly hasHostDeadline: boolean
  /** Absent when nobody tried to stop it. */
  readonly stopped?: Stopped
}

/** What a run is called at its end. */
export type Verdict = {
  readonly state: TerminalRunState
  /** Null for success. */
  readonly reason: Reason | null
  readonly remote: Remote
  /** Null for success. */
  readonly detail: string | null
}

const STOPPED = {
  exec_timeout: { state: 'timed_out', reason: 'exec_timeout', detail: 'the time limit was reached' },
  idle_timeout: { state: 'timed_out', reason: 'idle_timeout', detail: 'it wrote nothing for too long' },
  job_timeout: { state: 'timed_out', reason: 'job_timeout', detail: 'the time limit of the job was reached' },
  cancelled_by_user: { state: 'cancelled', reason: 'cancelled_by_user', detail: 'it was cancelled' },
  output_limit: { state: 'failed', reason: 'output_limit', detail: 'it wrote more than the hard limit for output' },
  fault: { state: 'failed', reason: 'output_limit', detail: 'its output could not be taken' },
} as const satisfies Record<StopCause, { state: TerminalRunState; reason: Reason; detail: string }>

const WITHOUT_START: ReadonlyMap<Reason, TerminalRunState> = new Map<Reason, TerminalRunState>([
  ['cancelled_by_user', 'cancelled'],
  ['job_timeout', 'skipped'],
  ['policy_denied', 'skipped'],
  ['sudo_password_required', 'failed'],
  ['sudo_denied', 'failed'],
])

/** The state of a run whose command was never sent, for this reason. */
export function stateWithoutStart(reason: Reason): TerminalRunState {
  return WITHOUT_START.get(reason) ?? 'unreachable'
}

/** The verdict that follows from the evidence. */
export function verdictOf(evidence: Evidence): Verdict {
  const { exit, hasStarted, hasRefused, isConnectionOpen, hasHostDeadline, stopped } = evidence
  const later = hasHostDeadline ? '; the host itself ends it when its time is over' : ''
  if (stopped !== undefined) {
    const endedByItself = stopped.kill === 'was_gone' || stopped.kill === 'not_sent'
    if (!endedByItself || exit === undefined) return verdictOfStop(stopped, later)
  }
  if (exit === undefined) {
    const what = isConnectionOpen ? 'the host closed the channel' : 'the connection was lost'
    return lost('conn_lost', `${what} before it reported how the command ended${later}`)
  }
  if (!hasStarted) return verdictWithoutStart(exit, hasRefused)
  if (isSignalled(exit)) {
    return { state: 'failed', reason: 'signal', remote: 'ended', detail: signalDetail(exitWords(exit)) }
  }
  if (exit.code === 0) return { state: 'succeeded', reason: null, remote: 'ended', detail: null }
  return { state: 'failed', reason: 'exit_nonzero', remote: 'ended', detail: `${exitWords(exit)}${hint(exit)}` }
}

function verdictOfStop({ cause, kill }: Stopped, later: string): Verdict {
  const { state, reason, detail } = STOPPED[cause]
  if (kill === 'ended' || kill === 'was_gone') {
    return {
      state,
      reason,
      remote: 'ended',
      detail: `${detail}; it was killed, and nothing of its process group is left`,
    }
  }
  const why = kill === 'not_sent' ? 'no signal could be sent' : 'whether the kill worked is not known'
  // The kill script also ends the watchdog, so one is only left if that script was not sent.
  const isGuarded = kill === 'not_sent' || kill === 'only_asked'
  return lost('kill_unconfirmed', `${detail}, but ${why}: the command may still run${isGuarded ? later : ''}`)
}

/** The command was sent and no start mark came. That proves nothing: something on the host may have swallowed it. */
function verdictWithoutStart(exit: Exit, hasRefused: boolean): Verdict {
  const how = exitWords(exit)
  if (hasRefused) {
    const detail =
      `the shell of the account ended (${how}) and did not get the command: a start-up file has replaced its stdin, ` +
      'or a script could not be stored; its output may say why'
    return { state: 'unreachable', reason: 'channel_refused', remote: 'not_started', detail }
  }
  return lost('conn_lost', `the host reported ${how}, but not whether the command was started; its output may say why`)
}

function lost(reason: Reason, detail: string): Verdict {
  return { state: 'lost', reason, remote: 'unknown', detail }
}

/** What a shell means by its own exit statuses. @see POSIX, Shell Command Language, 2.8.2 */
function hint({ code }: Exit): string {
  if (code === 126) return ' (usually: found, but cannot be executed)'
  return code === 127 ? ' (usually: command not found)' : ''
}
