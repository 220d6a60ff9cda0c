/**
 * The end that follows from one connection to a durable run, or why there is none yet. The verdicts are those of
 * attached mode (verdict.ts). Pure.
 *
 * "Not started" needs a proof: nothing was ever sent, or the host has made sure that nothing will ever start; and the
 * run was never known to have started.
 */
import type { Reason } from '@muster/contract'
import type { ExecEnd } from '../attached/exec.ts'
import { type Exit, exitWords } from '../verdict/exit-status.ts'
import { type Failure, failure, printable } from '../verdict/failure.ts'
import { type StopCause, type Verdict, verdictOf } from '../verdict/verdict.ts'
import type { FollowStop } from './follow-stop.ts'
import type { DurableStop } from './orders.ts'
import type { DurableRun } from './run.ts'
import type { DurableReport, DurableResult } from './words.ts'

/** How following a durable run over one connection ended. */
export type DurableEnd =
  /** The true end, and the only one there will be. */
  | { readonly kind: 'ended'; readonly end: ExecEnd }
  /** Nothing is known yet. If retryable, try again on another connection; output that was taken is kept. */
  | { readonly kind: 'disconnected'; readonly detail: string; readonly isRetryable: boolean }
  /** The host cannot hold a durable run, and the command has certainly not been started. */
  | { readonly kind: 'not_durable'; readonly detail: string }
  /** The command has certainly not been started, and under this ID it never will be. */
  | { readonly kind: 'not_started'; readonly failure: Failure }

/** The last word of the follower on the host; empty while there is none. */
export type Heard = {
  /** Why the host cannot hold the run. */
  refusal?: string
  /** How the run ended, as far as the host knows. */
  report?: DurableReport
}

/** A run that this side tried to stop. */
export type StoppedRun = { readonly cause: StopCause; readonly kill: DurableStop }

/** Everything that is known after one connection. */
export type Seen = {
  readonly heard: Heard
  /** What made this side stop following; undefined: the follower ended, or the channel. */
  readonly asked: FollowStop | undefined
  /** Undefined where nothing had to be killed. */
  readonly stopped: StoppedRun | undefined
  /** Whether the command was at hand and nothing of it had been sent over an earlier connection. */
  readonly isFresh: boolean
  /** How the channel's shell ended, if all its output was read. */
  readonly deadEnd: Exit | undefined
  readonly isConnectionOpen: boolean
  readonly hostName: string
}

/** The end that follows. */
export function settle(run: DurableRun, seen: Seen): DurableEnd {
  const { heard, asked, stopped, isFresh, isConnectionOpen } = seen
  const { report } = heard
  const say = (detail: string) => `${seen.hostName}: ${printable(detail)}`
  const notStarted = (cause: StopCause | undefined, detail: string, other: Reason): DurableEnd => {
    const isAsked = cause === 'cancelled_by_user' || cause === 'job_timeout'
    return { kind: 'not_started', failure: failure(isAsked ? cause : other, say(detail)) }
  }
  if (report?.word === 'fenced' || stopped?.kill === 'never_started') {
    if (run.hasStarted) return { kind: 'ended', end: endOf(run, { word: 'missing' }, undefined) }
    const detail = 'the command was not there, and it is certain now that it will not start'
    return notStarted(stopped?.cause, detail, 'conn_lost')
  }
  if (report?.word === 'unclaimed') return { kind: 'not_durable', detail: say('its file system has no hard links') }
  if (report?.word === 'ended' && report.wasReached === false && !isTimedOut(report)) {
    return notStarted(report.stopped?.cause, unreached(report), 'channel_refused')
  }
  if (report !== undefined) return { kind: 'ended', end: endOf(run, report, stopped) }
  if (heard.refusal !== undefined) return cannotHold(seen.hostName, isFresh, heard.refusal)
  if (isFresh && !run.wasSent && !run.hasStarted) {
    if (asked === 'detach')
      return notStarted('cancelled_by_user', 'it was let go before the command was sent', 'conn_lost')
    const cause = asked === 'mute' ? undefined : asked
    const isLost = cause === undefined && asked === undefined && seen.deadEnd === undefined
    return notStarted(cause, unsent(seen), isLost ? 'conn_lost' : 'channel_refused')
  }
  if (stopped !== undefined && stopped.kill !== 'was_gone' && (isConnectionOpen || stopped.kill === 'ended')) {
    return { kind: 'ended', end: endOf(run, undefined, stopped) }
  }
  if (asked === 'mute') return disconnected(say('it did not say in time whether the command runs'))
  if (asked === 'detach') return disconnected(say('it was left to run on'))
  return disconnected(say(isConnectionOpen ? 'the host closed the channel' : 'the connection was lost'))
}

/** The host says that it cannot hold the run. One that was sent before may be there all the same. */
export function cannotHold(hostName: string, isFresh: boolean, why: string): DurableEnd {
  const detail = `${hostName}: ${printable(why)}`
  return isFresh ? { kind: 'not_durable', detail } : disconnected(detail)
}

/** Nothing is known yet. */
export function disconnected(detail: string, isRetryable = true): DurableEnd {
  return { kind: 'disconnected', detail, isRetryable }
}

/** Whether a limit ended the run before the command was reached: that is a time-out like any other. */
function isTimedOut({ stopped }: DurableResult): boolean {
  return stopped !== undefined && stopped.cause !== 'cancelled_by_user' && stopped.cause !== 'job_timeout'
}

function unreached({ exit }: DurableResult): string {
  const how = exit.code === null && exit.signal === null ? '' : ` (${exitWords(exit)})`
  return (
    `the shell of the account ended${how} before the command was reached: its start-up files ended or replaced it, ` +
    'or it cannot read the command; nothing of it was run'
  )
}

/** Why the host was never heard to ask for the command. */
function unsent({ asked, deadEnd, isConnectionOpen }: Seen): string {
  if (asked === 'mute') return 'it did not ask for the command in time, so nothing of it was sent'
  if (asked !== undefined) return 'stopped before the command was sent'
  if (deadEnd !== undefined) return `its shell ended (${exitWords(deadEnd)}) before the command was sent`
  return `${isConnectionOpen ? 'the host closed the channel' : 'the connection was lost'} before the command was sent`
}

/** A result that the host wrote down leaves nothing open. */
const KNOWN = { hasStarted: true, hasRefused: false, isConnectionOpen: true, hasHostDeadline: true } as const

/** The end that follows from the host's report; or without one, when the command was stopped. */
function endOf(run: DurableRun, report: DurableReport | undefined, stopped: StoppedRun | undefined): ExecEnd {
  const result = report?.word === 'ended' ? report : undefined
  const own = stopped && stopped.kill !== 'never_started' ? { cause: stopped.cause, kill: stopped.kill } : undefined
  const stop = own?.kill === 'ended' ? own : (result?.stopped ?? own)
  const isStopTold =
    stop !== undefined && (report === undefined || stop.kill === 'ended' || stop.kill === 'unconfirmed')
  const isProven = result !== undefined && result.wasReached !== undefined
  const evidence = { ...KNOWN, exit: result?.exit, ...(stop && { stopped: stop }) }
  const verdict = isProven || isStopTold ? verdictOf(evidence) : withoutResult(report?.word ?? 'missing')
  const { code: exitCode, signal } = isProven ? result.exit : { code: null, signal: null }
  const output = {
    stdout: run.caps.stdout.end(),
    stderr: run.caps.stderr.end(),
    outputComplete: result?.isWhole === true,
  }
  return { ...verdict, detail: detailOf(verdict, result), exitCode, signal, ...output, isRetryable: false }
}

function detailOf({ reason, detail }: Verdict, result: DurableResult | undefined): string | null {
  if (result?.unsure !== undefined && reason === 'exit_nonzero') {
    return (
      `its status was ${result.unsure}: an exit with that status or a signal, which the shell of this host does not ` +
      'tell apart'
    )
  }
  if (result?.wasReached !== false) return detail
  return `${detail}; the start-up files of the account had not come to the command`
}

function withoutResult(word: DurableReport['word']): Verdict {
  const lost = { state: 'lost', remote: 'unknown' } as const
  switch (word) {
    case 'rebooted':
      return {
        ...lost,
        reason: 'host_rebooted',
        detail: 'the host was restarted while the command ran, or before its result was written',
      }
    case 'unreadable':
      return {
        ...lost,
        reason: 'result_missing',
        detail: 'what its host keeps of the command was not written by Muster',
      }
    case 'ended':
      return { ...lost, reason: 'result_missing', detail: 'its host has no proof that the command was reached' }
    default:
      return {
        ...lost,
        reason: 'result_missing',
        detail: 'the command is gone, and so is what should have written down how it ended',
      }
  }
}
