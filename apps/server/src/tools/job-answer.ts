/**
 * A job as an AI agent reads it: its report without members that are null or empty, the output once the job has ended
 * or is paused, and the calls to make next.
 */
import {
  type AnswerOutput,
  type Counts,
  escapeControl,
  exitDetail,
  isTerminalJob,
  type JobAnswer,
  type JobReport,
  lastChars,
  nextPollS,
  RunState,
} from '@muster/contract'
import { clip } from '../text/clip.ts'
import { callsAfterJob } from './next-calls.ts'
import { clipHosts } from './short-groups.ts'

/** Most rows of problems, and most notices. */
const ROWS_LIMIT = { problems: 10, notices: 3 } as const
/** Longest text of a notice, or of the arguments of a script. */
const WORDS_CHARS = 120
/** Longest text of all problems together, and of one: when there are few, each may say more. */
const PROBLEM_CHARS = { all: 1_200, one: 300 } as const
/** Longest command shown. */
const COMMAND_CHARS = 300

/**
 * Whether the answer includes the output: a running job may still print more; a paused one waits for somebody to read
 * it.
 */
export function isShownWithOutput({ state }: Pick<JobReport, 'state'>): boolean {
  return isTerminalJob(state) || state === 'paused'
}

/**
 * The answer. `output`: what was printed; undefined to leave it out. `withCommand`: for a caller who may not know the
 * command. `now`: the time in ms by which the job is dated.
 */
export function toJobAnswer(
  report: JobReport,
  output: AnswerOutput | undefined,
  { withCommand, now }: { withCommand: boolean; now: number },
): JobAnswer {
  const hasEnded = isTerminalJob(report.state)
  const endMs = report.ended_at === null ? now : Date.parse(report.ended_at)
  const elapsedS = Math.max(0, Math.round((endMs - Date.parse(report.created_at)) / 100) / 10)
  const problems = problemsOf(report, output)
  return {
    job_id: report.job_id,
    state: report.state,
    hosts: report.total,
    counts: countsAboveZero(report.counts),
    elapsed_s: elapsedS,
    changes: report.changes,
    ...(withCommand && report.command !== null ? { command: commandOf(report.command, report.arguments) } : {}),
    ...(report.rerun_of === null ? {} : { rerun_of: report.rerun_of }),
    ...rerunsOf(report),
    ...(report.cancel_requested_at === null ? {} : { cancel_requested_at: report.cancel_requested_at }),
    ...batchOf(report, hasEnded),
    ...budgetOf(report),
    ...problems,
    ...noticesOf(report),
    ...(output === undefined || output.groups.length === 0 ? {} : output),
    next_poll_s: hasEnded ? null : nextPollS(elapsedS),
    next: callsAfterJob(report, output),
  }
}

/** The command. The arguments of a script come before its text, which may be long. */
function commandOf(command: string, args: string | null): string {
  const given = args === null ? '' : `script with arguments ${clip(escapeControl(args), WORDS_CHARS)}: `
  return clip(`${given}${escapeControl(command)}`, COMMAND_CHARS)
}

/** The counts without the states that no run is in. */
export function countsAboveZero(counts: Counts): JobAnswer['counts'] {
  return Object.fromEntries(RunState.options.flatMap((state) => (counts[state] > 0 ? [[state, counts[state]]] : [])))
}

/** What went wrong. For a single host with nothing but an exit code, the output group says it all. */
function problemsOf(
  report: JobReport,
  output: AnswerOutput | undefined,
): Pick<JobAnswer, 'problems' | 'problems_omitted'> {
  const isInGroup = (row: ProblemRow) =>
    report.total === 1 && output?.groups.length === 1 && row.reason === 'exit_nonzero' && wordsOf(row, 1) === ''
  const rows = (report.problems ?? []).filter((row) => !isInGroup(row))
  const shown = rows.slice(0, ROWS_LIMIT.problems)
  const omitted = report.problems_omitted + rows.slice(shown.length).reduce((sum, { count }) => sum + count, 0)
  return {
    ...(shown.length === 0 ? {} : { problems: shown.map((row) => problemRow(row, shown.length)) }),
    ...(omitted === 0 ? {} : { problems_omitted: omitted }),
  }
}

type ProblemRow = NonNullable<JobReport['problems']>[number]

/** What the detail says beyond the exit code. A long text loses its middle, because the cause often comes last. */
function wordsOf({ detail, exit_code: exitCode }: ProblemRow, rows: number): string {
  if (detail === null || (exitCode !== undefined && exitCode !== null && detail === exitDetail(exitCode))) return ''
  const text = escapeControl(detail)
  const limit = Math.min(PROBLEM_CHARS.one, Math.floor(PROBLEM_CHARS.all / rows))
  const half = Math.floor(limit / 2)
  return text.length <= limit ? text : `${clip(text, half)}${lastChars(text, half)}`
}

function problemRow(row: ProblemRow, rows: number) {
  const { state, reason, exit_code: exitCode, hosts, count } = row
  const words = wordsOf(row, rows)
  return {
    state,
    ...(reason === null ? {} : { reason }),
    ...(exitCode === null ? {} : { exit_code: exitCode }),
    hosts: clipHosts(hosts),
    count,
    ...(words === '' ? {} : { detail: words }),
  }
}

function rerunsOf({ reruns }: JobReport): Pick<JobAnswer, 'reruns'> {
  return reruns === null || reruns.length === 0 ? {} : { reruns: reruns.slice(-ROWS_LIMIT.notices) }
}

function noticesOf({ notices }: JobReport): Pick<JobAnswer, 'notices'> {
  const shown = (notices ?? []).slice(0, ROWS_LIMIT.notices).map(({ notice, hosts, count }) => ({
    notice: clip(escapeControl(notice), WORDS_CHARS),
    hosts: clipHosts(hosts),
    count,
  }))
  return shown.length === 0 ? {} : { notices: shown }
}

/** The batch that a job has reached; of a job that has ended, only if it did not get through all batches. */
function batchOf({ batch, counts }: JobReport, hasEnded: boolean): Pick<JobAnswer, 'batch'> {
  if (batch === null || (hasEnded && counts.skipped + counts.cancelled === 0)) return {}
  const { number, of, starts_at: startsAt, paused_because: because, paused_until: until } = batch
  return {
    batch: {
      number,
      of,
      ...(startsAt === null ? {} : { starts_at: startsAt }),
      ...(because === null ? {} : { paused_because: because }),
      ...(until === null ? {} : { paused_until: until }),
    },
  }
}

function budgetOf({ budget, tripped_by: trippedBy }: JobReport): Pick<JobAnswer, 'budget'> {
  if (!budget.exceeded) return {}
  const { max_errors, errors } = budget
  return {
    budget: { exceeded: true, max_errors, errors, ...(trippedBy === null ? {} : { tripped_by: clipHosts(trippedBy) }) },
  }
}
