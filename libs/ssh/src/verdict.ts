/**
 * What a run is called at its end, from what is known: the exit the host reported, whether the launcher's marker was
 * seen, and what a kill came to. Pure; gathers none of it (exec.ts does).
 *
 * One rule decides the doubtful cases: "succeeded", "failed" and "not started" are only said when they are proven.
 */
import type { Reason, Remote, TerminalRunState } from '@muster/contract'
import type { Exit } from './channel.ts'
import type { KillOutcome } from './kill.ts'

/** Why a command is stopped from our side. `fault`: its output could not be taken. */
export type StopCause = 'exec_timeout' | 'cancelled_by_user' | 'output_limit' | 'fault'

/** A command that was to be stopped. */
export type Stopped = { readonly cause: StopCause; readonly outcome: KillOutcome }

/** Everything that is known at the end of a command. */
export type Evidence = {
  /** Undefined when the host reported none. */
  readonly exit: Exit | undefined
  /** Whether the launcher's marker was seen. */
  readonly hasStarted: boolean
  /** Whether both streams were read to their end. */
  readonly isDrained: boolean
  readonly isConnectionOpen: boolean
  /** Absent when nobody stopped it. */
  readonly stopped?: Stopped
}

/** The end of a run, without its output. */
export type Ending = {
  readonly state: TerminalRunState
  /** Null for success. */
  readonly reason: Reason | null
  readonly remote: Remote
  /** Null for success. */
  readonly detail: string | null
}

const STOPPED = {
  exec_timeout: { state: 'timed_out', reason: 'exec_timeout', detail: 'the time limit was reached' },
  cancelled_by_user: { state: 'cancelled', reason: 'cancelled_by_user', detail: 'it was cancelled' },
  output_limit: { state: 'failed', reason: 'output_limit', detail: 'it wrote more than the hard limit for output' },
  fault: { state: 'failed', reason: 'output_limit', detail: 'its output could not be taken' },
} as const satisfies Record<StopCause, { state: TerminalRunState; reason: Reason; detail: string }>

/** How the run ended. */
export function endingOf({ exit, hasStarted, isDrained, isConnectionOpen, stopped }: Evidence): Ending {
  if (stopped !== undefined) {
    const endedByItself = stopped.outcome === 'was_gone' || stopped.outcome === 'not_sent'
    if (!endedByItself || exit === undefined) return endingOfStop(stopped)
  }
  if (exit === undefined) {
    const what = isConnectionOpen ? 'the host closed the channel' : 'the connection was lost'
    return lost('conn_lost', `${what} before it reported how the command ended`)
  }
  if (!hasStarted) return endingWithoutStart(exit, isDrained)
  if (exit.signal !== null) {
    return { state: 'failed', reason: 'signal', remote: 'ended', detail: `the command was ended by SIG${exit.signal}` }
  }
  if (exit.code === 0) return { state: 'succeeded', reason: null, remote: 'ended', detail: null }
  return { state: 'failed', reason: 'exit_nonzero', remote: 'ended', detail: `exit status ${exit.code}${hint(exit)}` }
}

function endingOfStop({ cause, outcome }: Stopped): Ending {
  const { state, reason, detail } = STOPPED[cause]
  if (outcome === 'ended' || outcome === 'was_gone') {
    return { state, reason, remote: 'ended', detail: `${detail}; the command was killed, and nothing of it is left` }
  }
  const why = outcome === 'not_sent' ? 'no signal could be sent' : 'whether the kill worked is not known'
  return lost('kill_unconfirmed', `${detail}, but ${why}: the command may still run`)
}

/** The account's shell ended without having started the launcher, as a forced command or a nologin shell does. */
function endingWithoutStart(exit: Exit, isDrained: boolean): Ending {
  const how = exit.signal === null ? `exit status ${exit.code}` : `SIG${exit.signal}`
  const detail = `the shell of the account ended (${how}) without starting the command; its output may say why`
  if (isDrained) return { state: 'unreachable', reason: 'channel_refused', remote: 'not_started', detail }
  return lost('conn_lost', `the host reported ${how}, but not whether the command was started`)
}

function lost(reason: Reason, detail: string): Ending {
  return { state: 'lost', reason, remote: 'unknown', detail }
}

/** What a shell means by its own exit statuses. @see POSIX, Shell Command Language, 2.8.2 */
function hint({ code }: Exit): string {
  if (code === 126) return ' (usually: found, but cannot be executed)'
  return code === 127 ? ' (usually: command not found)' : ''
}
