/**
 * What is made of one connection to a durable run: its end, or why there is none yet. The words of the ends are those
 * of attached mode (verdict.ts). Talks to nobody.
 *
 * "Not started" needs a proof: nothing was ever sent, or the host has made sure that nothing of it will ever start.
 */
import type { DurableStop } from './durable-orders.ts'
import type { DurableRun } from './durable-run.ts'
import type { ExecEnd } from './exec.ts'
import type { Exit } from './exit-status.ts'
import { type Failure, failure, printable } from './failure.ts'
import { type Ending, endingOf, type StopCause, type Stopped } from './verdict.ts'

/** What came of following a durable run over one connection. */
export type Followed =
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
  /** Whether the launcher ran at all. */
  hasBegun?: boolean
  /** Whether it is past the point where it could start the command. */
  hasAnswered?: boolean
  /** Why the host cannot hold the run. */
  refusal?: string
  /** The last word. */
  end?: string
}

/** Everything that is known after one connection. */
export type Seen = {
  readonly report: Report
  readonly stopped: { readonly cause: StopCause; readonly outcome: DurableStop } | undefined
  /** Whether the command was given, and nothing of it ever sent before. */
  readonly isFresh: boolean
  /** What the channel ended with before the launcher ran, when all its output was read. */
  readonly deadEnd: Exit | undefined
  readonly isConnectionOpen: boolean
  readonly hostName: string
}

/** What came of it. */
export function settle(
  run: DurableRun,
  { report, stopped, isFresh, deadEnd, isConnectionOpen, hostName }: Seen,
): Followed {
  const say = (detail: string) => `${hostName}: ${printable(detail)}`
  if (report.end === 'fenced' || stopped?.outcome === 'never_started') {
    const detail = say('the command was not there, and it is certain now that it will not start')
    const isAsked = stopped?.cause === 'cancelled_by_user' || stopped?.cause === 'job_timeout'
    const reason = isAsked ? stopped.cause : 'conn_lost'
    return { kind: 'not_started', failure: failure(reason, detail) }
  }
  if (report.end === 'unclaimed') return { kind: 'not_durable', detail: say('its file system has no hard links') }
  if (report.refusal !== undefined) {
    return isFresh ? { kind: 'not_durable', detail: say(report.refusal) } : disconnected(say(report.refusal))
  }
  if (report.end !== undefined) return { kind: 'ended', end: endOf(run, report.end, stopped) }
  if (stopped !== undefined && stopped.outcome !== 'was_gone' && (isConnectionOpen || stopped.outcome === 'ended')) {
    return { kind: 'ended', end: endOf(run, '', stopped) }
  }
  if (isFresh && deadEnd !== undefined && !report.hasBegun) {
    const how = deadEnd.signal === null ? `exit status ${deadEnd.code}` : `SIG${deadEnd.signal}`
    const detail = say(`the shell of the account ended (${how}) without starting the command`)
    return { kind: 'not_started', failure: failure('channel_refused', detail) }
  }
  return disconnected(say(isConnectionOpen ? 'the host closed the channel' : 'the connection was lost'))
}

/** Nothing is known yet. */
export function disconnected(detail: string, isRetryable = true): Followed {
  return { kind: 'disconnected', detail, isRetryable }
}

/** What the host itself wrote down leaves nothing open. */
const KNOWN = { hasStarted: true, isDrained: true, isConnectionOpen: true, hasHostDeadline: true } as const

/**
 * The end that follows from the last word of the follower: `ended HOW NAME WHOLE CAUSE OUTCOME`, `rebooted`, `missing`;
 * or empty, when it had none and the command was stopped.
 */
function endOf(run: DurableRun, report: string, stopped: Seen['stopped']): ExecEnd {
  const [word = '', how, name = '', whole, cause = 'none', outcome = ''] = report.split(' ')
  const hasResult = word === 'ended'
  const own =
    stopped && stopped.outcome !== 'never_started' ? { cause: stopped.cause, outcome: stopped.outcome } : undefined
  const stop = own?.outcome === 'ended' ? own : (hostStop(cause, outcome) ?? own)
  const exit = hasResult ? exitOf(how, name) : undefined
  const evidence = { ...KNOWN, exit, ...(stop && { stopped: stop }) }
  const isStopTold = stop !== undefined && (word === '' || stop.outcome === 'ended' || stop.outcome === 'unconfirmed')
  const ending = hasResult || isStopTold ? endingOf(evidence) : withoutResult(word)
  const detail = how === 'unsure' && ending.reason === 'exit_nonzero' ? unsure(name) : ending.detail
  const { code: exitCode, signal } = exit ?? { code: null, signal: null }
  const output = { stdout: run.caps.stdout.end(), stderr: run.caps.stderr.end(), outputComplete: whole === 'whole' }
  return { ...ending, detail, exitCode, signal, ...output, isRetryable: false }
}

/** A stop that the supervisor has seen to: by its own clock, or when it found that somebody had asked for it. */
function hostStop(cause: string, outcome: string): Stopped | undefined {
  const causes = ['exec_timeout', 'idle_timeout', 'job_timeout', 'cancelled_by_user', 'output_limit', 'fault'] as const
  const known = causes.find((one) => one === cause)
  return known && { cause: known, outcome: outcome === '0' || outcome === '3' ? 'ended' : 'unconfirmed' }
}

function exitOf(how: string | undefined, name: string): Exit {
  if (how === 'signal') return { code: null, signal: name }
  return { code: how === 'exit' ? Number(name) : null, signal: null }
}

function withoutResult(word: string): Ending {
  if (word === 'rebooted') {
    const detail = 'the host was started anew while the command ran, or before its result was written'
    return { state: 'lost', reason: 'host_rebooted', remote: 'unknown', detail }
  }
  const detail = 'the command is gone, and so is what should have written down how it ended'
  return { state: 'lost', reason: 'result_missing', remote: 'unknown', detail }
}

function unsure(status: string): string {
  return `its status was ${status}: an exit with that status or a signal, which the shell of this host does not tell apart`
}
