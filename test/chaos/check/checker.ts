/**
 * Holds what Muster says of a job against what happened on the hosts. Pure: it is given both, and finds the lies.
 *
 * A run that says "lost" claims nothing, so nothing it says can be false; how many there are is told, not judged.
 */
import type { Job, Run } from '@muster/contract'
import type { ChaosHost, PlannedJob } from '../commands.ts'
import { expectedOutput } from '../script.ts'
import { commandKey, type Note, type Notes } from '../witness.ts'
import { type StreamReading, wrongInComplete, wrongInPart } from './output-check.ts'

/** The figures that must be 0. */
export const FIGURES = [
  'duplicates',
  'not_ended',
  'false_successes',
  'false_not_starteds',
  'output_mismatches',
  'false_endeds',
] as const
export type Figure = (typeof FIGURES)[number]

/** One lie: what kind, and what was said and seen. */
export type Finding = {
  readonly figure: Figure
  readonly id: string
  readonly host: string | undefined
  readonly text: string
}

/** A run as the API tells of it. */
export type RunReading = {
  readonly run: Run
  readonly output: { readonly stdout: StreamReading; readonly stderr: StreamReading }
}

/** A job as the API tells of it. */
export type JobReading = {
  readonly planned: PlannedJob
  /** Job IDs that were given for its one idempotency key; none when it was never accepted. */
  readonly jobIds: readonly string[]
  /** Undefined when there is no such job any more. */
  readonly report: Pick<Job, 'state' | 'counts' | 'created_at' | 'ended_at'> | undefined
  readonly runs: readonly RunReading[]
}

/** What was seen on the hosts. */
export type Seen = {
  readonly notes: Notes
  /** Keys of the commands of which a process is there, after everything has ended. */
  readonly alive: ReadonlySet<string>
}

/** Between a note and a time of Redis: both are of one clock, read a moment apart. */
const CLOCK_MS = 50

/** Every lie in one job. */
export function checkJob(reading: JobReading, seen: Seen): Finding[] {
  const { planned, jobIds, report, runs } = reading
  const { id } = planned
  const findings: Finding[] = []
  const find = (figure: Figure, host: string | undefined, text: string) => findings.push({ figure, id, host, text })

  if (jobIds.length > 1) find('duplicates', undefined, `one idempotency key, and jobs ${jobIds.join(' and ')}`)
  for (const { name, address } of planned.hosts) {
    const starts = (seen.notes.get(commandKey(id, address)) ?? []).filter(({ word }) => word === 'start').length
    if (starts > 1) find('duplicates', name, `started ${starts} times`)
  }
  if (report === undefined || report.ended_at === null) {
    find('not_ended', undefined, report === undefined ? 'there is no such job' : `the job is ${report.state}`)
    return findings
  }
  for (const text of wrongInSum(reading)) find('false_successes', undefined, text)
  for (const { run, output } of runs) {
    const host = planned.hosts.find(({ name }) => name === run.host)
    if (host === undefined) {
      find('false_successes', run.host, 'a run on a host that was not asked for')
      continue
    }
    const key = commandKey(id, host.address)
    const notes = seen.notes.get(key) ?? []
    for (const [figure, text] of [
      ['not_ended', wrongInEnd(run)],
      ['false_successes', wrongInResult(run, notes)],
      ['false_not_starteds', wrongInNotStarted(run, notes)],
      ['false_endeds', wrongInEnded(run, notes, seen.alive.has(key))],
      ['output_mismatches', wrongInOutput(planned, host, run, output)],
    ] as const) {
      if (text !== undefined) find(figure, run.host, `${text}; it says ${say(run)}`)
    }
  }
  return findings
}

function say({ state, remote, reason, exit_code, signal, attempt, ended_at }: Run): string {
  return [state, remote, reason, exit_code, signal, `attempt ${attempt}`, ended_at]
    .filter((word) => word !== null)
    .join(' ')
}

/** The job's own word on its runs. */
function wrongInSum({ planned, report, runs }: JobReading): string[] {
  const wrong: string[] = []
  const hosts = new Set(runs.map(({ run }) => run.host))
  if (hosts.size !== planned.hosts.length || runs.length !== planned.hosts.length) {
    wrong.push(`${runs.length} runs for ${planned.hosts.length} hosts`)
  }
  for (const [state, count] of Object.entries(report?.counts ?? {})) {
    const really = runs.filter(({ run }) => run.state === state).length
    if (really !== count) wrong.push(`${count} runs are counted as ${state}, and ${really} are`)
  }
  if (report?.state === 'succeeded' && runs.some(({ run }) => run.state !== 'succeeded')) {
    wrong.push('the job succeeded, and not all of its runs did')
  }
  return wrong
}

function wrongInEnd({ ended_at }: Run): string | undefined {
  return ended_at === null ? 'the job ended, and this run did not' : undefined
}

/** Success, exit status and signal, against the command's own last note. */
function wrongInResult(run: Run, notes: readonly Note[]): string | undefined {
  const end = notes.findLast(({ word }) => word === 'end')?.result
  const noted = end === undefined ? 'no end was noted' : `the end was noted as ${end}`
  if (run.state === 'succeeded' && (end !== '0' || run.exit_code !== 0)) return noted
  if (run.exit_code !== null && end !== String(run.exit_code)) return noted
  if (run.reason === 'exit_nonzero' && run.exit_code === null) return 'failed by an exit status that it does not know'
  if (run.reason === 'signal' && end !== `SIG${run.signal}`) return noted
  return undefined
}

function wrongInNotStarted(run: Run, notes: readonly Note[]): string | undefined {
  const saysNot = run.remote === 'not_started' || run.safe_to_retry
  return saysNot && notes.some(({ word }) => word === 'start') ? 'it started' : undefined
}

function wrongInEnded(run: Run, notes: readonly Note[], isAlive: boolean): string | undefined {
  if (run.remote !== 'ended' || run.ended_at === null) return undefined
  if (isAlive) return 'a process of it is still there'
  const endedMs = Date.parse(run.ended_at)
  const late = notes.findLast(({ atMs }) => atMs > endedMs + CLOCK_MS)
  return late === undefined ? undefined : `it noted "${late.word}" ${late.atMs - endedMs} ms after that`
}

function wrongInOutput(
  planned: PlannedJob,
  host: ChaosHost,
  run: Run,
  output: RunReading['output'],
): string | undefined {
  const expected = expectedOutput(planned, host)
  const isWhole = run.output_complete && (run.state === 'succeeded' || run.state === 'failed')
  for (const stream of ['stdout', 'stderr'] as const) {
    // A shell may say on stderr that it saw its child being killed.
    if (!isWhole && stream === 'stderr') continue
    const wrong = isWhole
      ? wrongInComplete(expected[stream], output[stream], planned.outputLimitBytes)
      : wrongInPart(expected[stream], output[stream])
    if (wrong !== undefined) return `${stream}: ${wrong}`
  }
  return undefined
}
