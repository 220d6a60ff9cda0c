/**
 * What is made of one connection to a durable run: its end, or why there is none yet. The words of the ends are those
 * of attached mode (verdict.ts). Talks to nobody.
 *
 * "Not started" needs a proof: nothing was ever sent, or the host has made sure that nothing of it will ever start, and
 * it was never known to have started.
 */
import type { Reason } from '@muster/contract'
import type { ExecEnd } from '../attached/exec.ts'
import { type Exit, exitWords } from '../verdict/exit-status.ts'
import { type Failure, failure, printable } from '../verdict/failure.ts'
import { type StopCause, type Verdict, verdictOf } from '../verdict/verdict.ts'
import type { StopRequest } from './clock.ts'
import type { DurableStop } from './orders.ts'
import type { DurableRun } from './run.ts'
import type { DurableReport, DurableResult } from './words.ts'

/** What came of following a durable run over one connection. */
export type DurableEnd =
  /** The true end, and the only one there will be. */
  | { readonly kind: 'ended'; readonly end: ExecEnd }
  /** Nothing is known yet. Where it is retryable, try again on another connection; what was taken of the output is kept. */
  | { readonly kind: 'disconnected'; readonly detail: string; readonly isRetryable: boolean }
  /** The host cannot hold a durable run, and the command has certainly not been started. */
  | { readonly kind: 'not_durable'; readonly detail: string }
  /** The command has certainly not been started, and under this ID it never will be. */
  | { readonly kind: 'not_started'; readonly failure: Failure }

/** What the follower on the host said about itself. */
export type Report = {
  /** Why the host cannot hold the run. */
  refusal?: string
  /** The last word. */
  end?: DurableReport
}

/** A run that was to be stopped from this side. */
export type StoppedRun = { readonly cause: StopCause; readonly kill: DurableStop }

/** Everything that is known after one connection. */
export type Seen = {
  readonly report: Report
  /** What made this side stop following; undefined: the follower ended, or the channel. */
  readonly asked: StopRequest | undefined
  /** Absent where nothing was to be killed. */
  readonly stopped: StoppedRun | undefined
  /** Whether the command was given, and nothing of it sent over any connection before. */
  readonly isFresh: boolean
  /** What the channel ended with, when all its output was read. */
  readonly deadEnd: Exit | undefined
  readonly isConnectionOpen: boolean
  readonly hostName: string
}

/** What came of it. */
export function settle(run: DurableRun, seen: Seen): DurableEnd {
  const { report, asked, stopped, isFresh, isConnectionOpen } = seen
  const { end } = report
  const say = (detail: string) => `${seen.hostName}: ${printable(detail)}`
  const notStarted = (cause: StopCause | undefined, detail: string, other: Reason): DurableEnd => {
    const isAsked = cause === 'cancelled_by_user' || cause === 'job_timeout'
    return { kind: 'not_started', failure: failure(isAsked ? cause : other, say(detail)) }
  }
  if (end?.word === 'fenced' || stopped?.kill === 'never_started') {
    if (run.hasStarted) return { kind: 'ended', end: endOf(run, { word: 'missing' }, undefined) }
    const detail = 'the command was not there, and it is certain now that it will not start'
    return notStarted(stopped?.cause, detail, 'conn_lost')
  }
  if (end?.word === 'unclaimed') return { kind: 'not_durable', detail: say('its file system has no hard links') }
  if (end?.word === 'ended' && end.wasReached === false && !isTimedOut(end)) {
    return notStarted(end.stopped?.cause, unreached(end), 'channel_refused')
  }
  if (end !== undefined) return { kind: 'ended', end: endOf(run, end, stopped) }
  if (report.refusal !== undefined) return cannotHold(seen.hostName, isFresh, report.refusal)
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

/** The host says that it cannot hold the run: one that was sent before may be held all the same. */
export function cannotHold(hostName: string, isFresh: boolean, why: string): DurableEnd {
  const detail = `${hostName}: ${printable(why)}`
  return isFresh ? { kind: 'not_durable', detail } : disconnected(detail)
}

/** Nothing is known yet. */
export function disconnected(detail: string, isRetryable = true): DurableEnd {
  return { kind: 'disconnected', detail, isRetryable }
}

/** Whether a limit ended what was there before the command was reached: that is told as any other command's time-out. */
function isTimedOut({ stopped }: DurableResult): boolean {
  return stopped !== undefined && stopped.cause !== 'cancelled_by_user' && stopped.cause !== 'job_timeout'
}

function unreached({ exit }: DurableResult): string {
  const how = exit.code === null && exit.signal === null ? '' : ` (${exitWords(exit)})`
  return (
    `the shell of the account ended${how} before the command was reached: its start-up files ended or replaced it, or ` +
    'it cannot read the command; nothing of it was run'
  )
}

/** Why the host was never heard to ask for the command. */
function unsent({ asked, deadEnd, isConnectionOpen }: Seen): string {
  if (asked === 'mute') return 'it did not ask for the command in time, so nothing of it was sent'
  if (asked !== undefined) return 'stopped before the command was sent'
  if (deadEnd !== undefined) return `its shell ended (${exitWords(deadEnd)}) before the command was sent`
  return `${isConnectionOpen ? 'the host closed the channel' : 'the connection was lost'} before the command was sent`
}

/** What the host itself wrote down leaves nothing open. */
const KNOWN = { hasStarted: true, hasRefused: false, isConnectionOpen: true, hasHostDeadline: true } as const

/** The end that follows from the last word of the follower; or without one, when the command was stopped. */
function endOf(run: DurableRun, end: DurableReport | undefined, stopped: StoppedRun | undefined): ExecEnd {
  const result = end?.word === 'ended' ? end : undefined
  const own = stopped && stopped.kill !== 'never_started' ? { cause: stopped.cause, kill: stopped.kill } : undefined
  const stop = own?.kill === 'ended' ? own : (result?.stopped ?? own)
  const isStopTold = stop !== undefined && (end === undefined || stop.kill === 'ended' || stop.kill === 'unconfirmed')
  const isProven = result !== undefined && result.wasReached !== undefined
  const evidence = { ...KNOWN, exit: result?.exit, ...(stop && { stopped: stop }) }
  const verdict = isProven || isStopTold ? verdictOf(evidence) : withoutResult(end?.word ?? 'missing')
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
        detail: 'the host was started anew while the command ran, or before its result was written',
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
