/**
 * Output as people see it. Pure: turns data into text. Each line that a host printed stands behind a bar, and
 * everything else from a host is escaped and on one line, so that no host can begin a line in our voice.
 */
import {
  escapeControl,
  escapeLine,
  exitDetail,
  type GatheredOutput,
  type HostsByState,
  type OutputGroup,
  OutputMask,
  type Reason,
  signalDetail,
} from '@muster/contract'
import { reasonWords, stateWords } from './reason-words.ts'

/** The output of all hosts, equal outputs together, and below it the hosts without output. */
export function gatheredText(gathered: GatheredOutput): string {
  const isCompared = gathered.groups.some(({ diff }) => diff !== null)
  // The reference comes first: the others are compared with it.
  const ordered = [...gathered.groups].sort((a, b) =>
    isCompared ? Number(b.is_reference) - Number(a.is_reference) : 0,
  )
  const groups = ordered.map((group) => {
    const code = reasonCode(group)
    const detail = furtherDetail(group)
    const how = [
      stateWords(group.state),
      code,
      group.exit_code === null || group.exit_code === 0 ? null : `exit code ${group.exit_code}`,
      group.signal === null ? null : `signal ${escapeLine(group.signal)}`,
      code === null && detail === null ? null : whyText(group.reason, detail),
    ]
    const title = `── ${hostsText(group)}: ${how.filter((part) => part !== null).join(', ')}`
    const masked = group.distinct_outputs === 1 ? '' : '[what was masked differs from host to host]\n'
    const missing = group.output_complete ? '' : '[some of it may be missing]\n'
    return `${title}\n${group.diff === null ? streamsText(group) : diffText(group.diff)}${masked}${missing}`
  })
  const { omitted_groups: omitted, uncompared_hosts: uncompared } = gathered
  const left =
    omitted === 0 ? '' : `[${omitted} more groups with ${gathered.omitted_hosts} hosts; ${shorterText(gathered)}]\n`
  const unmasked = uncompared === 0 ? '' : `[${uncompared} hosts whose output could not be masked]\n`
  const parts = [left, problemsText(gathered.omitted), unmasked, problemsText(gathered.without_output)]
  return `${groups.join('\n')}${parts.join('')}`
}

/** How to see more of too many groups. */
function shorterText({ job_id }: GatheredOutput): string {
  const masks = OutputMask.options.join(',')
  const output = `muster output ${job_id}`
  return `for fewer groups: ${output} --diff --mask ${masks}; for one host: ${output} HOST`
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

/** Folded names, and how many hosts they are. */
export function hostsText({ hosts, count }: { hosts: string; count: number }): string {
  return count === 1 ? hosts : `${hosts} (${count} hosts)`
}

/** Text of several lines in a list of fields: later lines are indented below the first. */
export function indentedText(text: string): string {
  return escapeControl(text).trimEnd().split('\n').join('\n           ')
}

/** The code of the reason, unless the exit code or the signal beside it says the same. */
function reasonCode({ reason, signal }: OutputGroup): string | null {
  return reason === 'exit_nonzero' || (reason === 'signal' && signal !== null) ? null : reason
}

/** The detail, unless it only repeats the exit code or the signal. */
function furtherDetail({ detail, exit_code, signal }: OutputGroup): string | null {
  const isStatus = exit_code !== null && detail === exitDetail(exit_code)
  const isSignal = signal !== null && detail === signalDetail(`SIG${signal}`)
  return isStatus || isSignal ? null : detail
}

/** Why a run ended so, in words. For commands that ended by themselves, the exit code says it all. */
function whyText(reason: Reason | null, detail: string | null): string | null {
  if (reason === null) return detail === null ? null : escapeLine(detail)
  return detail === null && reason === 'exit_nonzero' ? null : escapeLine(reasonWords(reason, detail))
}

/** Rows under a heading, in columns. Every cell is escaped and on one line. */
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
