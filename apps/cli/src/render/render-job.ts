/** Jobs as people see them: where one stands, how it goes through its hosts, and what to type next. Pure. */
import {
  type Batch,
  escapeLine,
  isTerminalJob,
  isTerminalRun,
  type Job,
  type JobReport,
  RunState,
} from '@muster/contract'
import { stateWords } from './reason-words.ts'
import { healthCheckText, optionsText } from './render-options.ts'
import { hostsText, indentedText, problemsText, tableText } from './render-output.ts'

/** The counts that are not zero: `18 succeeded, 1 failed`. */
export function countsText({ counts }: Pick<Job, 'counts'>): string {
  const states = RunState.options.filter((state) => counts[state] > 0)
  return states.map((state) => `${counts[state]} ${stateWords(state)}`).join(', ')
}

/** The line about a job that was accepted. */
export function acceptedLine({ job_id, total, selection, rerun_of }: Job): string {
  const seed = selection?.seed ?? null
  const parts = [
    job_id,
    total === 1 ? '1 host' : `${total} hosts`,
    seed === null ? null : `seed ${seed}`,
    rerun_of === null ? null : `rerun of ${rerun_of}`,
  ]
  return parts.filter((part) => part !== null).join(' · ')
}

/** The last line about a job. */
export function summaryLine(job: Job): string {
  const parts = [countsText(job), rolloutText(job), job.state, job.job_id]
  return parts.filter((part) => part !== null).join(' · ')
}

/** How far the rollout is; null when there is nothing to tell, as when all of it is done. */
export function rolloutText({ batch, budget, state }: Job): string | null {
  if (budget.exceeded) return `error budget spent${batch === null ? '' : ` in batch ${batch.number} of ${batch.of}`}`
  return batch === null || isTerminalJob(state) ? null : `batch ${batchText(batch)}`
}

function batchText({ number, of, starts_at }: Batch): string {
  return `${number} of ${of}${starts_at === null ? '' : ` starts at ${starts_at}`}`
}

const NOTHING_RAN =
  'no host of this batch was tried (they were skipped or cancelled), so it proves nothing; resume to go on all the same'

/** Why a job is paused, until when, and what a person can do about it. */
export function gateText({ job_id, batch }: Job): string {
  const where = batch === null ? '' : ` after batch ${batch.number} of ${batch.of}`
  const why = batch?.paused_because === 'nothing_ran' ? `: ${NOTHING_RAN}` : ''
  const end = batch?.paused_until ? ` It ends by itself at ${batch.paused_until}.` : ''
  return `Paused${where}${why}.${end} Go on with: muster resume ${job_id}   End it with: muster cancel ${job_id}`
}

/** How many hosts with problems a report does not name, and the command that lists them; "" when it names all. */
function omittedText({ job_id, problems, problems_omitted: omitted, counts }: JobReport): string {
  if (omitted === 0) return ''
  const named = (state: RunState) =>
    (problems ?? []).reduce((sum, one) => sum + (one.state === state ? one.count : 0), 0)
  const isTold = (state: RunState) => isTerminalRun(state) && state !== 'succeeded'
  const states = RunState.options.filter((state) => isTold(state) && counts[state] > named(state))
  const filter =
    states.length === 0 ? '' : ` --state ${states.length === 1 ? states.join() : `STATE (${states.join(', ')})`}`
  return `── ${omitted} more ${omitted === 1 ? 'host' : 'hosts'}; muster runs ${job_id}${filter} lists them\n`
}

/** Notices about some of the hosts, a line each; "" when there are none. */
export function noticesText({ notices, tripped_by, budget }: JobReport): string {
  const noticed = (notices ?? []).map((one) => `── ${hostsText(one)}: ${escapeLine(one.notice)}\n`).join('')
  if (tripped_by === null) return noticed
  const became = budget.on_budget === 'cancel' ? 'nothing more starts, and what ran is killed' : 'nothing more starts'
  return `${noticed}── error budget spent by ${tripped_by}: ${budget.max_errors} tolerated; ${became}\n`
}

/** One job, for `muster show`, without empty lines. */
export function jobText(job: JobReport): string {
  const { batch, budget } = job
  const rows: Array<readonly [string, string | null]> = [
    ['job', job.job_id],
    ['state', job.state],
    ['rerun of', job.rerun_of],
    ['hosts', `${job.total}: ${countsText(job)}`],
    ['targets', job.targets === null ? null : escapeLine(job.targets)],
    ['selected', selectionText(job)],
    ['command', job.command === null ? null : indentedText(job.command)],
    ['arguments', job.arguments === null ? null : indentedText(job.arguments)],
    ['batch', batch === null ? null : `${batchText(batch)}, ${batch.hosts === 1 ? '1 host' : `${batch.hosts} hosts`}`],
    // All hosts may go wrong: that is no budget.
    ['errors', budget.max_errors >= job.total ? null : `${budget.errors}, of ${budget.max_errors} tolerated`],
    ['at once', String(job.concurrency)],
    ['rollout', job.options === null ? null : optionsText(job.options)],
    ['checked by', job.options === null ? null : healthCheckText(job.options)],
    ['limit', `${job.exec_timeout_s} s for each command`],
    ['created', job.created_at],
    ['ended', job.ended_at ?? '–'],
    ['run again', job.reruns?.length ? job.reruns.join('\n           ') : null],
  ]
  const lines = rows.flatMap(([name, text]) => (text === null ? [] : [`${name.padEnd(10)} ${text}\n`]))
  const gate = job.state === 'paused' ? `${gateText(job)}\n` : ''
  return `${lines.join('')}${problemsText(job.problems ?? [])}${omittedText(job)}${noticesText(job)}${gate}`
}

/** How the hosts were chosen. The seed is the one that was used: it gives the same hosts in the same order again. */
function selectionText({ selection }: Job): string | null {
  if (selection === null) return null
  const { exclude, pick, order, limit, seed } = selection
  const parts = [
    exclude === null ? null : `without ${exclude}`,
    pick === null ? null : `${pick} picked`,
    order === 'given' ? null : `order ${order}`,
    limit === null ? null : `the first ${limit}`,
    seed === null ? null : `seed ${seed}`,
  ].filter((part) => part !== null)
  return parts.length === 0 ? null : escapeLine(parts.join(', '))
}

/** Jobs, for `muster jobs`. */
export function jobsText(jobs: readonly Job[]): string {
  const rows = jobs.map((job) => [job.job_id, job.state, String(job.total), job.created_at, job.title ?? '–'])
  return tableText(['JOB', 'STATE', 'HOSTS', 'CREATED', 'TITLE'], rows)
}
