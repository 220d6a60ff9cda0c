/** How jobs, runs, hosts and output look to a person. Pure: from data to text; what comes from hosts is escaped. */
import {
  escapeControl,
  type GatheredOutput,
  type Host,
  type HostsByState,
  type Job,
  type JobReport,
} from '@muster/contract'

/** The counts that are not zero: `18 succeeded, 1 failed`. */
export function countsText({ counts }: Pick<Job, 'counts'>): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0)
  return parts.map(([state, count]) => `${count} ${state}`).join(', ')
}

/** The last line about a job. */
export function summaryLine(job: Job): string {
  return `${countsText(job)} · ${job.state} · ${job.job_id}`
}

/** The output of all hosts, equal ones together, and below it the hosts without any. */
export function gatheredText(gathered: GatheredOutput): string {
  const groups = gathered.groups.map((group) => {
    const how = [
      group.state,
      group.reason === 'exit_nonzero' ? null : group.reason,
      group.exit_code === null || group.exit_code === 0 ? null : `exit code ${group.exit_code}`,
      group.signal === null ? null : `signal ${group.signal}`,
    ]
    const hosts = group.count === 1 ? '' : ` (${group.count} hosts)`
    const title = `── ${group.hosts}${hosts}: ${how.filter((part) => part !== null).join(', ')}`
    const stderr = group.stderr === '' ? '' : `${prefixed(withEnd(escapeControl(group.stderr)), 'stderr: ')}`
    const cut = group.truncated ? '[not all of it; muster output JOB HOST has the rest]\n' : ''
    return `${title}\n${withEnd(escapeControl(group.stdout))}${stderr}${cut}`
  })
  const left =
    gathered.omitted_groups === 0 ? '' : `[${gathered.omitted_groups} more groups of ${gathered.omitted_hosts} hosts]\n`
  return `${groups.join('\n')}${left}${problemsText(gathered.without_output)}`
}

/** Hosts by state and reason, a line each. */
function problemsText(problems: readonly HostsByState[]): string {
  return problems
    .map(({ hosts, count, state, reason, exit_code, detail }) => {
      const why = [
        reason,
        exit_code === null ? null : `exit code ${exit_code}`,
        detail === null ? null : escapeControl(detail),
      ]
      return `── ${hosts}${count === 1 ? '' : ` (${count} hosts)`}: ${[state, ...why].filter((part) => part !== null).join(', ')}\n`
    })
    .join('')
}

/** One job, for `muster show`. */
export function jobText(job: JobReport): string {
  const lines = [
    `job        ${job.job_id}`,
    `state      ${job.state}`,
    `hosts      ${job.total}: ${countsText(job)}`,
    `targets    ${job.targets}`,
    `command    ${escapeControl(job.command).split('\n').join('\n           ')}`,
    `created    ${job.created_at}`,
    `ended      ${job.ended_at ?? '–'}`,
  ]
  return `${lines.join('\n')}\n${problemsText(job.problems)}`
}

/** Rows under a heading, in columns. */
function tableText(heading: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
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
export function hostsText(hosts: readonly Host[]): string {
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
