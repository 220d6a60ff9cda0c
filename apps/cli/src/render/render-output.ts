/**
 * How output looks to a person. Pure: from data to text. Each line that a host printed stands behind a bar, and what else
 * it says is escaped and on one line: so no host can begin a line in our voice.
 */
import {
  escapeControl,
  escapeLine,
  type GatheredOutput,
  type HostsByState,
  type OutputGroup,
  OutputMask,
  type Reason,
} from '@muster/contract'
import { reasonWords, stateWords } from './reason-words.ts'

/** The output of all hosts, equal ones together, and below it the hosts without any. */
export function gatheredText(gathered: GatheredOutput): string {
  const isCompared = gathered.groups.some(({ diff }) => diff !== null)
  // What is compared with comes first: the others are read against it.
  const ordered = [...gathered.groups].sort((a, b) =>
    isCompared ? Number(b.is_reference) - Number(a.is_reference) : 0,
  )
  const groups = ordered.map((group) => {
    const how = [
      stateWords(group.state),
      group.reason === 'exit_nonzero' ? null : group.reason,
      group.exit_code === null || group.exit_code === 0 ? null : `exit code ${group.exit_code}`,
      group.signal === null ? null : `signal ${escapeLine(group.signal)}`,
      // The exit code stands there already.
      whyText(group.reason, group.detail === `exit status ${group.exit_code}` ? null : group.detail),
    ]
    const title = `── ${hostsText(group)}: ${how.filter((part) => part !== null).join(', ')}`
    const masked = group.distinct_outputs === 1 ? '' : '[what was masked differs from host to host]\n'
    const missing = group.output_complete ? '' : '[some of it may be missing]\n'
    return `${title}\n${group.diff === null ? streamsText(group) : diffText(group.diff)}${masked}${missing}`
  })
  const { omitted_groups: omitted, uncompared_hosts: uncompared } = gathered
  const left =
    omitted === 0 ? '' : `[${omitted} more groups of ${gathered.omitted_hosts} hosts; ${shorterText(gathered)}]\n`
  const unmasked = uncompared === 0 ? '' : `[${uncompared} hosts whose output could not be masked]\n`
  return `${groups.join('\n')}${left}${problemsText(gathered.omitted)}${unmasked}${problemsText(gathered.without_output)}`
}

/** How to see more of too many groups. */
function shorterText({ job_id }: GatheredOutput): string {
  const masks = OutputMask.options.join(',')
  return `less differs with muster output ${job_id} --diff --mask ${masks}; one host: muster output ${job_id} HOST`
}

function streamsText({ stdout, stderr, truncated }: OutputGroup): string {
  const errors = barred(stderr, 'stderr│')
  const cut = truncated ? '[not all of it; muster output JOB HOST has the rest]\n' : ''
  return `${barred(stdout)}${errors}${cut}`
}

function diffText(diff: string): string {
  return diff === '' ? '[the same output as the first group]\n' : barred(diff)
}

/** Hosts by state and reason, a line each. */
export function problemsText(problems: readonly HostsByState[]): string {
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
export function hostsText({ hosts, count }: { hosts: string; count: number }): string {
  return count === 1 ? hosts : `${hosts} (${count} hosts)`
}

/** Text of several lines in a list of fields: all but the first line stand below the first, none at the edge. */
export function indentedText(text: string): string {
  return escapeControl(text).trimEnd().split('\n').join('\n           ')
}

/** Why it ended so, in words. Of commands that ended in their own way, the exit code says it all. */
function whyText(reason: Reason | null, detail: string | null): string | null {
  if (reason === null) return detail === null ? null : escapeLine(detail)
  return detail === null && reason === 'exit_nonzero' ? null : escapeLine(reasonWords(reason, detail))
}

/** Rows under a heading, in columns; each cell on one line, made safe to show. */
export function tableText(heading: readonly string[], given: ReadonlyArray<readonly string[]>): string {
  const rows = given.map((row) => row.map(escapeLine))
  const widths = heading.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()
  return `${[heading, ...rows].map(line).join('\n')}\n`
}

/** What a host printed, each line behind a bar. */
function barred(text: string, bar = '│'): string {
  if (text === '') return ''
  const lines = escapeControl(text).replace(/\n$/, '').split('\n')
  return lines.map((line) => `${line === '' ? bar : `${bar} ${line}`}\n`).join('')
}
