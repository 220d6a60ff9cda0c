/** How jobs, runs, hosts and output look to a person. Pure: from data to text; what comes from hosts is escaped. */
import {
  escapeControl,
  type GatheredOutput,
  type Host,
  type HostsByState,
  type Job,
  type JobReport,
  type Reason,
  RunState,
} from '@muster/contract'
import { reasonWords, stateWords } from './reason-words.ts'

/** The counts that are not zero: `18 succeeded, 1 failed`. */
export function countsText({ counts }: Pick<Job, 'counts'>): string {
  const states = RunState.options.filter((state) => counts[state] > 0)
  return states.map((state) => `${counts[state]} ${stateWords(state)}`).join(', ')
}

/** The last line about a job. */
export function summaryLine(job: Job): string {
  return `${countsText(job)} · ${job.state} · ${job.job_id}`
}

/** The output of all hosts, equal ones together, and below it the hosts without any. */
export function gatheredText(gathered: GatheredOutput): string {
  const groups = gathered.groups.map((group) => {
    const how = [
      stateWords(group.state),
      group.reason === 'exit_nonzero' ? null : group.reason,
      group.exit_code === null || group.exit_code === 0 ? null : `exit code ${group.exit_code}`,
      group.signal === null ? null : `signal ${group.signal}`,
      whyText(group.reason, null),
    ]
    const title = `── ${hostsText(group)}: ${how.filter((part) => part !== null).join(', ')}`
    const stderr = group.stderr === '' ? '' : `${prefixed(withEnd(escapeControl(group.stderr)), 'stderr: ')}`
    const cut = group.truncated ? '[not all of it; muster output JOB HOST has the rest]\n' : ''
    const missing = group.output_complete ? '' : '[some of it may be missing]\n'
    return `${title}\n${withEnd(escapeControl(group.stdout))}${stderr}${cut}${missing}`
  })
  const left =
    gathered.omitted_groups === 0 ? '' : `[${gathered.omitted_groups} more groups of ${gathered.omitted_hosts} hosts]\n`
  return `${groups.join('\n')}${left}${problemsText(gathered.without_output)}`
}

/** Hosts by state and reason, a line each. */
function problemsText(problems: readonly HostsByState[]): string {
  return problems
    .map(({ state, reason, exit_code, detail, ...hosts }) => {
      const why = [
        stateWords(state),
        reason,
        exit_code === null ? null : `exit code ${exit_code}`,
        whyText(reason, detail),
      ]
      return `── ${hostsText(hosts)}: ${why.filter((part) => part !== null).join(', ')}\n`
    })
    .join('')
}

/** Folded names, and of how many hosts. */
function hostsText({ hosts, count }: { hosts: string; count: number }): string {
  return count === 1 ? hosts : `${hosts} (${count} hosts)`
}

/** Why it ended so, in words. Of commands that ended in their own way, the exit code says it all. */
function whyText(reason: Reason | null, detail: string | null): string | null {
  if (detail !== null) return escapeControl(detail)
  return reason === null || reason === 'exit_nonzero' ? null : reasonWords(reason)
}

/** What else is to be known of some hosts, a line each; "" when there is nothing. */
export function noticesText({ notices }: JobReport): string {
  return notices.map((noticed) => `── ${hostsText(noticed)}: ${escapeControl(noticed.notice)}\n`).join('')
}

/** One job, for `muster show`. */
export function jobText(job: JobReport): string {
  const lines = [
    `job        ${job.job_id}`,
    `state      ${job.state}`,
    `hosts      ${job.total}: ${countsText(job)}`,
    `targets    ${job.targets}`,
    `command    ${escapeControl(job.command).split('\n').join('\n           ')}`,
    `limit      ${job.exec_timeout_s} s for each command`,
    `created    ${job.created_at}`,
    `ended      ${job.ended_at ?? '–'}`,
  ]
  return `${lines.join('\n')}\n${problemsText(job.problems)}${noticesText(job)}`
}

/** Rows under a heading, in columns. */
export function tableText(heading: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const widths = heading.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()
  return `${[heading, ...rows].map(line).join('\n')}\n`
}

/** Jobs, for `muster jobs`. */
export function jobsText(jobs: readonly Job[]): string {
  const rows = jobs.map((job) => [job.job_id, job.state, String(job.total), job.created_at, job.title])
  return tableText(['JOB', 'STATE', 'HOSTS', 'CREATED', 'TITLE'], rows)
}

/** Hosts, for `muster hosts`. */
export function hostTable(hosts: readonly Host[]): string {
  const rows = hosts.map((host) => {
    const labels = Object.entries(host.labels).map(([key, value]) => `${key}=${value}`)
    return [
      host.name,
      `${host.user}@${host.address}:${host.port}`,
      host.jump ?? '–',
      host.groups.join(','),
      labels.join(','),
    ]
  })
  return tableText(['HOST', 'ADDRESS', 'JUMP', 'GROUPS', 'LABELS'], rows)
}

function withEnd(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`
}

function prefixed(text: string, prefix: string): string {
  return text.replace(/^(?=.)/gm, prefix)
}
